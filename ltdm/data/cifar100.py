"""CIFAR-100: 50,000 training and 10,000 test photographs, 32 x 32, a hundred fine classes.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from ltdm.data import _cifar
from ltdm.data._base import SourceInfo, SourceSplit
from ltdm.data._cifar import CITATION, SPLITS, Options

__all__ = ["CITATION", "SPLITS", "Options", "describe", "load"]
MEAN = (0.50707516, 0.48654887, 0.44091784)
CLASS_NAMES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
    camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
    cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
    lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


def describe(options: Options) -> SourceInfo:
    """Return the published contents of the training split."""
    return _cifar.describe(options, CLASS_NAMES.split())


def load(options: Options, split: str) -> SourceSplit:
    """Return a split, uint8 (N, 3, 32, 32), in the order of the original files."""
    return _cifar.load(options, split, "CIFAR100", MEAN, {})
