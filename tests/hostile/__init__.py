from .hostile import MODES, Hostile

__all__ = ["MODES", "Hostile"]
