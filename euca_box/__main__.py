"""`python -m euca_box` is `euca-box`."""

from euca_box.cli import main

main()
