"""Metrics of probabilities against labels: tallies that add, readings with intervals and noise floors."""

from surefoot.metrics.base import Metric as Metric
from surefoot.metrics.base import Tally as Tally
from surefoot.metrics.catalog import METRICS as METRICS
from surefoot.metrics.catalog import STANDARD as STANDARD
from surefoot.metrics.catalog import find_metric as find_metric
from surefoot.metrics.classwise import observe_classwise as observe_classwise
from surefoot.metrics.classwise import read_classwise_ece as read_classwise_ece
from surefoot.metrics.classwise import read_classwise_ece_parity as read_classwise_ece_parity
from surefoot.metrics.kernel import KernelTest as KernelTest
from surefoot.metrics.kernel import kernel_test as kernel_test
from surefoot.metrics.ood import OOD_SCORES as OOD_SCORES
from surefoot.metrics.ood import ood_auroc as ood_auroc
from surefoot.metrics.proper import observe_scores as observe_scores
from surefoot.metrics.ranking import observe_ranked_confidence as observe_ranked_confidence
from surefoot.metrics.ranking import observe_ranking as observe_ranking
from surefoot.metrics.ranking import observe_top as observe_top
from surefoot.metrics.ranking import observe_within as observe_within
from surefoot.metrics.ranking import read_adaptive_ece_parity as read_adaptive_ece_parity
from surefoot.metrics.ranking import read_ks as read_ks
from surefoot.metrics.reliability import observe_confidence as observe_confidence
from surefoot.metrics.reliability import observe_reliability as observe_reliability
from surefoot.metrics.reliability import read_ece as read_ece
from surefoot.metrics.uncertainty import Reading as Reading
from surefoot.metrics.uncertainty import measure as measure
