"""Layers, losses, containers, and what custom ones are made of."""

from . import functional, init
from ._hooks import RemovableHandle
from .module import IncompatibleKeys, Module
from .modules.activation import GELU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from .modules.attention import MultiheadAttention
from .modules.container import ModuleDict, ModuleList, ParameterList, Sequential
from .modules.conv import Conv2d
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
from .modules.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
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
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
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
    "MaxPool2d",
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
]
