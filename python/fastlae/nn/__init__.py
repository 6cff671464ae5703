"""Torch modules, functions and neural recommenders. This package alone imports torch."""

from __future__ import annotations

from . import functional, init
from .autoencoders import MultDAE, MultVAE
from .base import NeuralRecommender
from .cdae import CDAE
from .dlr2 import DLR2
from .hvamp import HVamp
from .implicit_slim import ImplicitSLIMRefresh
from .ract import RaCT
from .recvae import RecVAE
from .slim_regularizer import SLIMRegularizer, slim_regularizer
from .training import Epoch, train

__all__ = [
    "CDAE",
    "DLR2",
    "Epoch",
    "HVamp",
    "ImplicitSLIMRefresh",
    "MultDAE",
    "MultVAE",
    "NeuralRecommender",
    "RaCT",
    "RecVAE",
    "SLIMRegularizer",
    "functional",
    "init",
    "slim_regularizer",
    "train",
]
