"""Models of fastlae inside other libraries: their evaluators, tuners and pipelines, our kernels.

A module for each library, which is imported where it is asked for: `fastlae.backends.cornac`, `implicit`, `irspack`,
`lenskit`. Each has an adapter that makes one of the library's recommenders of any model of fastlae, and, where the
library has such a model itself, a class of the same name and arguments to put in its place.
"""

from __future__ import annotations
