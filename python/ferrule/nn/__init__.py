"""Layers, losses, containers, and what custom ones are made of."""

from . import functional, init, utils
from ._hooks import RemovableHandle
from .module import IncompatibleKeys, Module
from .modules.activation import GELU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .modules.attention import MultiheadAttention
from .modules.container import ModuleDict, ModuleList, ParameterList, Sequential
from .modules.conv import Conv1d, Conv2d, Conv3d
from .modules.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .modules.dropout import Dropout
from .modules.embedding import Embedding
from .modules.linear import Linear
from .modules.loss import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
)
from .modules.norm import BatchNorm1d, BatchNorm2d, LayerNorm
from .modules.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from .modules.rnn import GRU, LSTM, RNN
from .modules.rnn_cells import GRUCell, LSTMCell, RNNCell
from .modules.shape import Flatten, Identity, Unflatten
from .modules.transformer import TransformerEncoderLayer
from .parameter import Parameter

__all__ = [
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "Identity",
    "IncompatibleKeys",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "ParameterList",
    "RNNCell",
    "ReLU",
    "RemovableHandle",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "TransformerEncoderLayer",
    "Unflatten",
    "functional",
    "init",
    "utils",
]
