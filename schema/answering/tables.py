"""The tables that queries are answered from.

Not their mapped classes: a statement of these takes twice the time to make, and so does each row.
"""

from schema.tables.models import Image, Patient, Series, Study
from schema.tables.statements import table_of

PATIENTS, STUDIES, SERIES, IMAGES = map(table_of, (Patient, Study, Series, Image))
