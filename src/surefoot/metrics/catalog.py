"""Every metric by name: feeds the command line, the law tests and the documentation."""

import math

from surefoot.metrics.base import Metric
from surefoot.metrics.classwise import observe_classwise, read_classwise_ece
from surefoot.metrics.proper import observe_scores, read_accuracy, read_brier, read_nll
from surefoot.metrics.ranking import observe_ranking, read_adaptive_ece, read_auroc, read_ks, read_ks_pvalue
from surefoot.metrics.reliability import (
    observe_reliability,
    read_debiased_ece,
    read_ece,
    read_mce,
    read_overconfidence,
    read_rmsce,
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", "higher", observe_scores, read_accuracy),
        Metric("nll", "NLL", "lower", observe_scores, read_nll, (0.0, math.inf)),
        Metric("brier", "Brier score", "lower", observe_scores, read_brier, (0.0, 2.0)),
        Metric("ece", "ECE", "lower", observe_reliability, read_ece),
        Metric("ece_debiased", "ECE, debiased", "lower", observe_reliability, read_debiased_ece),
        Metric("ada_ece", "adaptive ECE", "lower", observe_ranking, read_adaptive_ece),
        Metric("classwise_ece", "classwise ECE", "lower", observe_classwise, read_classwise_ece),
        Metric("mce", "MCE", "lower", observe_reliability, read_mce),
        Metric("rmsce", "RMSCE", "lower", observe_reliability, read_rmsce),
        Metric("overconfidence", "claimed minus right", "none", observe_reliability, read_overconfidence, (-1, 1)),
        Metric("ks", "KS error", "lower", observe_ranking, read_ks),
        Metric("ks_pvalue", "KS p-value", "none", observe_ranking, read_ks_pvalue),
        Metric("auroc", "AUROC of correctness", "higher", observe_ranking, read_auroc),
    )
}
