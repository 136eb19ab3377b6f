"""Writing TorchScript files that are the same on every machine."""

import io
from pathlib import Path

import torch

from .files import write_whole

# Written by the archive writer itself when it closes.
WRITER_RECORDS = ("version", ".data/version", ".data/serialization_id")


def version_record(reader: torch._C.PyTorchFileReader) -> str:
    return next(name for name in (".data/version", "version") if reader.has_record(name))


def script_archive(module: torch.jit.ScriptModule) -> bytes:
    """The TorchScript archive of a scripted module, without the records that tell where its source code lay.

    ``torch.jit.save`` names the archive after the file and stores absolute source paths (``*.debug_pkl``, only used for error
    messages); both would make equal models differ in SHA-256 and put the builder's folders into the file. Across processes the
    bytes are equal under PYTHONHASHSEED=0, because TorchScript writes sets of constants in hash order.
    """
    saved = io.BytesIO()
    torch.jit.save(module, saved)
    saved.seek(0)
    reader = torch._C.PyTorchFileReader(saved)
    cleaned = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(cleaned)
    # the file format decides which form of an operator is read: without it, newer operators load as older ones and fail
    writer.set_min_version(int(reader.get_record(version_record(reader)).decode()))
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in WRITER_RECORDS:
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return cleaned.getvalue()


def save_script(module: torch.jit.ScriptModule, path: Path) -> None:
    """Write ``script_archive`` atomically, after loading it once from memory: a file that cannot be read is never left behind."""
    archive = script_archive(module)
    loaded = torch.jit.load(io.BytesIO(archive), map_location="cpu")
    if set(loaded.state_dict()) != set(module.state_dict()):
        raise ValueError(f"the archive for {path} does not hold the module's weights")
    write_whole(path, lambda temporary: temporary.write_bytes(archive))
