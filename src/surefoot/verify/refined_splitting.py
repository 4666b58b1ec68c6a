"""ReLU splitting in rounds: refine the bounds of all layers while that pays, then split until all is proven."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.rounding import REAL, Arithmetic
from surefoot.graph.graph import Graph
from surefoot.reach.alpha_crown import ALPHA_STEPS, Tightened, tighten_as_recorded, tighten_by_alpha_crown
from surefoot.reach.dual_ascent import bound
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.input_set import Limits
from surefoot.spec.query import Query
from surefoot.verify.branch_and_bound import Replay, Result
from surefoot.verify.reduced_splitting import ReducedSplitting, influence, stacked_duals
from surefoot.verify.refinement import Record, Refinement, again, in_float16, latest
from surefoot.verify.relu_splitting import problem_of, search_by_relu_splitting
from surefoot.verify.relu_subproblems import Neuron, Sets, Subproblem

FIRST_STEPS = 5  # of ascent, for each end of a value; more gain little, and of deep networks take most of the time
AT_FIRST = 0.05  # of the work, for splits before any refinement
REFINING = 0.8  # of the work, at most
PARTS = 512  # a layer in the first round
MORE = 3.0  # times as many in each further one, if there is time
LESS = 0.5  # times as many are not worth another round
PAYS = 0.2  # of the distance to 0: what a round must gain for another one


@dataclass(eq=False)
class RefinedSearch:
    """A search for a proof over one region; what it learns of the boxes of the graph stays with it.

    `certifiable`: its boxes are those that `tightened` and `record` give by themselves, as a certificate has them.
    """

    graph: Graph
    region: Box
    query: Query
    until: Deadline
    tightening: Deadline  # for the boxes that it begins with
    constraints: Limits | None = None
    known: Mapping[int, Box] = field(default_factory=dict)
    record: Record = field(default_factory=dict)
    rounds: int = 0  # of refinement
    certifiable: bool = False
    tightened: Tightened = field(default_factory=dict)

    def prove(self, replay: Replay, most_subproblems: int) -> Result[Subproblem, Neuron]:
        """Prove the query, or meet an input for which `replay` finds a counterexample."""
        slopes = self.tightened if self.certifiable else None
        otherwise = tighten_by_alpha_crown(ALPHA_STEPS, self.tightening, slopes)
        relaxation = self._relax(Refinement(self.tightening, otherwise, steps=FIRST_STEPS))
        sets = Sets(relaxation, self.query)
        problem = problem_of(relaxation, sets)
        roots = len(self.query.unsafe)
        if most_subproblems <= roots or not isinstance(problem, ReducedSplitting):
            return search_by_relu_splitting(problem, replay, self.until, most_subproblems)
        result = search_by_relu_splitting(problem, replay, self.until.share(AT_FIRST), most_subproblems)
        refining, parts = self.until.share(REFINING), PARTS
        while result.why == "time is up" and not self.until.is_over() and isinstance(problem, ReducedSplitting):
            margin, cost = self._root(problem)
            begin = refining.clock.work()
            relaxation = self._relax(Refinement(refining, _keep, parts, influence=cost))
            self.rounds += 1
            problem = problem_of(relaxation, Sets(relaxation, self.query))
            spent = refining.clock.work() - begin
            now = self._root(problem)[0] if isinstance(problem, ReducedSplitting) else margin
            more = min(MORE, 0.7 * refining.work_left / max(spent, 1e-3))
            parts = int(parts * more)
            if now > 0 or now - margin < PAYS * abs(margin) or more < LESS:
                return search_by_relu_splitting(problem, replay, self.until, most_subproblems)
        return result

    def relaxed(self, arithmetic: Arithmetic, until: Deadline) -> Relaxation:
        """Return the relaxation for another arithmetic, by the parts that were found."""
        first = partial(tighten_by_crown, until=until) if self.record else tighten_by_alpha_crown(ALPHA_STEPS, until)
        return relax(self.graph, self.region, arithmetic, again(self.record, first), constraints=self.constraints)

    def _relax(self, refinement: Refinement) -> Relaxation:
        joint = not self.certifiable  # certificates do not speak of several ReLUs together
        relaxation = relax(self.graph, self.region, REAL, refinement, self.known, joint, self.constraints)
        self.record = latest(self.record, refinement.record)
        if self.certifiable:
            self.record = in_float16(self.record)
            tighten = again(self.record, tighten_as_recorded(self.tightened))
            relaxation = relax(self.graph, self.region, REAL, tighten, None, joint, self.constraints)
        self.known = dict(enumerate(relaxation.boxes))
        return relaxation

    def _root(self, problem: ReducedSplitting) -> tuple[float, dict[int, Float[Tensor, " size"]]]:
        """Bound the whole region, and say what each value of a ReLU costs the unsafe sets that are not missed."""
        found = problem.bound(problem.roots())
        margin = float(found.values.min())
        dual = stacked_duals(found.subproblems)
        cost = influence(problem.network, dual, bound(problem.network, problem.rows, dual))
        cost = cost[found.values <= 0].sum(0, keepdim=True).double()
        return margin, {relu.at: relu.spread(cost).flatten() for relu in problem.unstable.relus}


def _keep(relaxation: Relaxation, at: int, box: Box) -> Box:
    return box
