"""The trusted base: what a certificate is, and the check of one. It imports `graph` and `core` alone."""

from surefoot.proof.certificate import Certificate as Certificate
from surefoot.proof.certificate import Proof as Proof
from surefoot.proof.certificate import SplitLeaf as SplitLeaf
from surefoot.proof.equality import check_equal as check_equal
from surefoot.proof.files import load_certificate as load_certificate
from surefoot.proof.files import save_certificate as save_certificate
from surefoot.proof.property import check_property as check_property
from surefoot.proof.question import Question as Question
from surefoot.proof.question import checked_graph as checked_graph
