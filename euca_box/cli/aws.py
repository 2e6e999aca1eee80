"""`euca-box aws ...`: the user's own AWS CLI with endpoint and keys set."""

import os
import shutil
from pathlib import Path

import click

from euca_box.cli import common
from euca_box.cli.users import environment


@click.command("aws", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--user", default="admin", help="As whom.")
@common.data_dir_option
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def aws_command(user: str, data_dir: Path | None, args: tuple[str, ...]) -> None:
    """Run the AWS CLI against this cloud: euca-box aws ec2 describe-images"""
    program = shutil.which("aws")
    if program is None:
        common.fail("the AWS CLI is not installed. Install it: pip install awscli")
    found = environment(common.data_dir_of(data_dir), user)
    # Old versions (Debian 12's 2.9) ignore the variable and would call AWS; all know the flag.
    argv = [program, "--endpoint-url", found["AWS_ENDPOINT_URL"], *args]
    os.execve(program, argv, os.environ | found | {"AWS_PAGER": ""})  # noqa: S606 - no shell
