"""Every metric by name: feeds the command line, the law tests and the documentation."""

import math

from surefoot.core.catalog import look_up
from surefoot.metrics.base import Metric
from surefoot.metrics.classwise import observe_classwise, read_classwise_ece
from surefoot.metrics.proper import (
    observe_scores,
    read_accuracy,
    read_brier,
    read_nll,
    read_spiegelhalter_pvalue,
)
from surefoot.metrics.ranking import (
    observe_classes,
    observe_ranking,
    observe_second,
    observe_within_two,
    read_adaptive_ece,
    read_auroc,
    read_cross_validated_ece,
    read_ks,
    read_ks_pvalue,
    too_few_to_rank,
)
from surefoot.metrics.reliability import (
    observe_reliability,
    read_debiased_ece,
    read_ece,
    read_mce,
    read_overconfidence,
    read_rmsce,
)
from surefoot.metrics.smooth import observe_smooth, read_smooth_ece
from surefoot.metrics.sums import brier_of, ece_of, ks_of, nll_of, overconfidence_of

# What is read where nothing else is asked for: it needs four tallies of a few kilobytes.
STANDARD: tuple[Metric, ...] = (
    Metric("accuracy", "accuracy", "higher", observe_scores, read_accuracy, interval="share"),
    Metric("nll", "NLL", "lower", observe_scores, read_nll, (0.0, math.inf), "mean", of_sums=nll_of),
    Metric("brier", "Brier score", "lower", observe_scores, read_brier, (0.0, 2.0), "mean", of_sums=brier_of),
    Metric("ece", "ECE", "lower", observe_reliability, read_ece, of_sums=ece_of),
    Metric("ece_debiased", "ECE, debiased", "lower", observe_reliability, read_debiased_ece),
    Metric("ada_ece", "adaptive ECE", "lower", observe_ranking, read_adaptive_ece),
    Metric("classwise_ece", "classwise ECE", "lower", observe_classwise, read_classwise_ece),
    Metric("mce", "MCE", "lower", observe_reliability, read_mce, interval="none"),
    Metric("rmsce", "RMSCE", "lower", observe_reliability, read_rmsce, interval="none"),
    Metric(
        "overconfidence",
        "confidence − accuracy",
        "none",
        observe_reliability,
        read_overconfidence,
        (-1, 1),
        of_sums=overconfidence_of,
    ),
    Metric("ks", "KS error", "lower", observe_ranking, read_ks, of_sums=ks_of),
    Metric("ks_pvalue", "KS p-value", "none", observe_ranking, read_ks_pvalue, interval="none"),
    Metric("auroc", "AUROC of correctness", "higher", observe_ranking, read_auroc, untold=too_few_to_rank),
    Metric(
        "spiegelhalter_pvalue",
        "Spiegelhalter p-value",
        "none",
        observe_scores,
        read_spiegelhalter_pvalue,
        interval="none",
    ),
)

_MORE = (
    Metric("smooth_ece", "smooth ECE", "lower", observe_smooth, read_smooth_ece),
    Metric(
        "cross_validated_ece",
        "ECE, cross-validated",
        "lower",
        observe_ranking,
        read_cross_validated_ece,
        interval="none",
    ),
    Metric("ks_second", "KS error, second class", "lower", observe_second, read_ks),
    Metric("ks_within_two", "KS error, first two", "lower", observe_within_two, read_ks),
    Metric("ks_classwise", "KS error, classwise", "lower", observe_classes, read_ks),
    Metric("ks_classwise_pvalue", "KS p-value, classwise", "none", observe_classes, read_ks_pvalue, interval="none"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*STANDARD, *_MORE)}


def find_metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        InputError: there is no such metric; the message lists those there are.
    """
    return look_up(METRICS, "metric", name)
