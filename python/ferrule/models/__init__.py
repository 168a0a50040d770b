"""Well-known architectures, to use and to learn from.

Each stands in a file of its own, is written with `ferrule.nn` as a user would, and
exports with free sizes: what it computes from a file in C++ is bitwise what it computes
here.

>>> import ferrule as fe
>>> model = fe.models.resnet18(num_classes=10, width=8).eval()
>>> model(fe.zeros(1, 3, 64, 64)).shape
(1, 10)
"""

from .bert import Bert, BertEncoder
from .decoding import beam_search, greedy_search
from .gpt import GPT, GPTDecoder
from .gru import GRUClassifier
from .lenet import LeNet
from .mlp import MLP
from .mobilenet import MobileNetV2, mobilenet_v2
from .resnet import ResNet, resnet18, resnet50
from .tagger import LSTMTagger
from .translator import BeamTranslator, GreedyTranslator, Translator
from .unet import UNet
from .vae import VAE
from .vit import VisionTransformer, vit_b_16

__all__ = [
    "GPT",
    "MLP",
    "VAE",
    "BeamTranslator",
    "Bert",
    "BertEncoder",
    "GPTDecoder",
    "GRUClassifier",
    "GreedyTranslator",
    "LSTMTagger",
    "LeNet",
    "MobileNetV2",
    "ResNet",
    "Translator",
    "UNet",
    "VisionTransformer",
    "beam_search",
    "greedy_search",
    "mobilenet_v2",
    "resnet18",
    "resnet50",
    "vit_b_16",
]
