"""Exact transformation: the same answers from a smaller network."""

from surefoot.compress.equal import Equality as Equality
from surefoot.compress.equal import equal as equal
from surefoot.compress.file_equality import equal_files as equal_files
from surefoot.compress.file_equality import within_files as within_files
from surefoot.compress.files import Report as Report
from surefoot.compress.files import compress_file as compress_file
from surefoot.compress.finite_field import SamePolynomial as SamePolynomial
from surefoot.compress.finite_field import same_polynomial as same_polynomial
from surefoot.compress.linear_regions import LinearRegion as LinearRegion
from surefoot.compress.linear_regions import linear_region_at as linear_region_at
from surefoot.compress.linear_regions import linear_regions as linear_regions
from surefoot.compress.rewrites import REWRITES as REWRITES
from surefoot.compress.same_answer import same_answer as same_answer
from surefoot.compress.stability import Patience as Patience
from surefoot.compress.stability import Stability as Stability
from surefoot.compress.stability import stability as stability
from surefoot.compress.transform import Compressed as Compressed
from surefoot.compress.transform import compress as compress
from surefoot.compress.two_layers import two_layers as two_layers
from surefoot.compress.within import within as within
