"""Training on Lightning: one run, or a matrix of runs that resumes."""

from surefoot.train.box import box_of as box_of
from surefoot.train.box import outside as outside
from surefoot.train.callback import CalibrationCallback as CalibrationCallback
from surefoot.train.fit import fit as fit
from surefoot.train.fit import predict as predict
from surefoot.train.fit import predictions_of as predictions_of
from surefoot.train.logged import Calibration as Calibration
from surefoot.train.logged import calibration_metrics as calibration_metrics
from surefoot.train.matrix import Run as Run
from surefoot.train.matrix import cells as cells
from surefoot.train.matrix import results_by_loss as results_by_loss
from surefoot.train.matrix import run_cell as run_cell
from surefoot.train.matrix import run_matrix as run_matrix
from surefoot.train.recipes import RECIPES as RECIPES
from surefoot.train.recipes import Recipe as Recipe
from surefoot.train.recipes import find_recipe as find_recipe
from surefoot.train.saved import load_box as load_box
from surefoot.train.saved import load_model as load_model
from surefoot.train.saved import load_model_with_example as load_model_with_example
from surefoot.train.saved import save_model as save_model
