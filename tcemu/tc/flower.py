"""flower: match header fields through masks.

Keys are read (`tcemu.tc.flower_read`, tc's own checks), made into steps (`tcemu.tc.flower_match`, the kernel's), and printed from those
steps (`tcemu.tc.flower_show`).
Source: iproute2 6.1 tc/f_flower.c, man tc-flower(8); net/sched/cls_flower.c.
"""

from tcemu.tc.flower_match import configure, released, template
from tcemu.tc.flower_read import FlowerReader
from tcemu.tc.flower_show import show, show_template

__all__ = ["READER", "configure", "released", "show", "show_template", "template"]

READER = FlowerReader
