"""Reading weights out of ONNX graphs whose initialisers may have lost their names."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper


class OnnxWeights:
    """The initialisers and nodes of one ONNX graph, found by name.

    ``graph`` is the loaded ``onnx.ModelProto``; ``tensors`` maps initialiser names to float32 tensors.
    """

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
        self.nodes = {node.name: node for node in model.graph.node}

    @classmethod
    def read(cls, source: Path | bytes) -> "OnnxWeights":
        return cls(onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(str(source)))

    def tensor(self, name: str) -> torch.Tensor:
        if name not in self.tensors:
            raise KeyError(f"the ONNX graph has no weight '{name}': this is not the file the converter was written for")
        return self.tensors[name]

    def node_weights(self, node_name: str) -> list[torch.Tensor]:
        """Initialisers among the inputs of a node, in input order (exporters rename folded weights, nodes keep theirs)."""
        if node_name not in self.nodes:
            raise KeyError(f"the ONNX graph has no node '{node_name}': this is not the file the converter was written for")
        return [self.tensors[name] for name in self.nodes[node_name].input if name in self.tensors]

    def run(self, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        """Evaluate the graph in onnxruntime on one thread; ``outputs`` may name inner tensors."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        present = {value.name for value in model.graph.output}
        for name in outputs:
            if name not in present:
                model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: unused initialisers are no news
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(outputs, inputs)
