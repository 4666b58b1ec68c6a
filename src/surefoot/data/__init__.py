"""Data sets by name, and one rule that divides them."""

from surefoot.data.arrays import from_datasets as from_datasets
from surefoot.data.catalog import DATA as DATA
from surefoot.data.catalog import load_data as load_data
from surefoot.data.images import gaussian_noise as gaussian_noise
from surefoot.data.images import ood_parts as ood_parts
from surefoot.data.images import strange_parts as strange_parts
from surefoot.data.prepare import Prepare as Prepare
from surefoot.data.splits import Data as Data
from surefoot.data.splits import Part as Part
from surefoot.data.splits import divide as divide
