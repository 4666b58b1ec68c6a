from .assess_page import model_card as model_card
from .assess_page import write_assessment as write_assessment
from .certified_page import write_certified_page as write_certified_page
from .page import write_page as write_page
from .readings import show as show
from .readings import show_floor as show_floor
from .readings import show_interval as show_interval
from .tables import comparison_tables as comparison_tables
