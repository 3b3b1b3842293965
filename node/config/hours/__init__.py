"""When something may be done: hours of weekdays and holidays, by the clock on the wall.

`clocks` reads times of day, days of the week and time zones, `week` what people write as hours,
and `holidays` the days that are like another one. `opening` says when hours open and close next,
for one of them and for several that have to be open together. All of it is pure.
"""

from node.config.hours.clocks import Weekday, parse_clock
from node.config.hours.holidays import Holidays, parse_holidays
from node.config.hours.opening import CommonHours, OpenTimes
from node.config.hours.week import DailyWindow, Hours

__all__ = [
    "CommonHours",
    "DailyWindow",
    "Holidays",
    "Hours",
    "OpenTimes",
    "Weekday",
    "parse_clock",
    "parse_holidays",
]
