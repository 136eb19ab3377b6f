"""The knowledge-guided forgery detector (KFD, arXiv 2503.14853) as scriptable PyTorch modules."""

from .heads import Classifier, Locator, PromptLearner
from .kfd import KFD
from .lora import LoRALinear, add_lora, merge_lora
from .vit import VisionTransformer

__all__ = ["KFD", "Classifier", "Locator", "PromptLearner", "VisionTransformer", "LoRALinear", "add_lora", "merge_lora"]
