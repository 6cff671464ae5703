"""Torch modules, functions and neural recommenders. This package alone imports torch."""

from __future__ import annotations

from . import functional
from .autoencoders import MultDAE, MultVAE
from .base import NeuralRecommender
from .cdae import CDAE
from .implicit_slim import ImplicitSLIMRefresh
from .recvae import RecVAE
from .slim_regularizer import SLIMRegularizer, slim_regularizer
from .training import Epoch, train

__all__ = [
    "CDAE",
    "Epoch",
    "ImplicitSLIMRefresh",
    "MultDAE",
    "MultVAE",
    "NeuralRecommender",
    "RecVAE",
    "SLIMRegularizer",
    "functional",
    "slim_regularizer",
    "train",
]
