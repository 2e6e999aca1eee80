"""The web console with a real guest: from asking for an account to a serial console that is typed into.

Chromium speaks to `euca-box run` over TLS; the guest's shell answers in the page, its screen is looked at by
VNC, and its metadata has the credentials of its role.
"""

import json
import os
import shutil

import pytest

from tests.kvm.test_first_guest import Cloud, running_cloud, ssh

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.kvm,
    pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
PASSWORD = "correct horse battery"


class ConsoleCloud(Cloud):
    bridge = "ebr16"
    private, public = "10.99.0", "10.100.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(ConsoleCloud) as c:
        yield c


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True)
        yield browser
        browser.close()


def a_page(chromium, cloud):
    context = chromium.new_context(
        ignore_https_errors=True, base_url=f"https://127.0.0.1:{cloud.console}", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    return page


def log_in(page, name, password):
    page.goto("/login")
    page.fill("[name=name]", name)
    page.fill("[name=password]", password)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()


def test_from_asking_for_an_account_to_a_serial_console(cloud, chromium, tmp_path):
    built = cloud.run("image", "build", "demo", "--public", "-o", "json")
    image_id = json.loads(built.stdout)["image_id"] if built.returncode == 0 else public_demo(cloud)
    password = cloud.run("user", "password", "admin").stdout.partition(": ")[2].strip()

    stranger, admin = a_page(chromium, cloud), a_page(chromium, cloud)
    stranger.goto("/signup")
    for name, text in (
        ("account_name", "observatory"),
        ("email", "o@example.com"),
        ("real_name", "Otto"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ):
        stranger.fill(f"[name={name}]", text)
    stranger.keyboard.press("Enter")
    stranger.get_by_role("heading", name="Thank you").wait_for()
    log_in(admin, "admin", password)
    admin.goto("/accounts")
    admin.click("button[value=approve]")
    admin.get_by_text("It is done.").wait_for()

    log_in(stranger, "observatory", PASSWORD)
    stranger.goto("/network")
    stranger.locator("form", has_text="Name of a new key pair").locator("[name=name]").fill("k")
    stranger.locator("form", has_text="Name of a new key pair").locator("button").click()
    key = tmp_path / "k.pem"
    key.write_text(stranger.inner_text("#secret").strip() + "\n")
    key.chmod(0o600)
    stranger.goto("/network")
    rule = stranger.locator("form", has=stranger.locator("button[value=authorize]")).first
    rule.locator("[name=from]").fill("22")
    rule.locator("button[value=authorize]").click()
    stranger.get_by_text("The security group is changed.").wait_for()

    stranger.goto(f"/launch?image={image_id}")
    stranger.fill("[name=name]", "telescope")
    stranger.select_option("[name=key]", "k")
    stranger.click("button[value=launch]")
    row = stranger.locator("tr", has_text="telescope")
    row.get_by_text("running").wait_for(timeout=120_000)
    instance_id = row.get_by_role("link").inner_text()
    address = row.locator("td").nth(4).inner_text().split()[0]
    assert ssh(key, address, "id -un").strip() == "root"

    stranger.goto(f"/instances/{instance_id}?tab=serial")
    stranger.locator("#terminal-state", has_text="live").wait_for()
    terminal = stranger.locator("#terminal")
    stranger.keyboard.press("Enter")
    stranger.keyboard.type("echo the sum is $((40 + 2))\n")
    terminal.get_by_text("the sum is 42").first.wait_for()

    stranger.goto(f"/instances/{instance_id}?tab=screen")
    stranger.locator("#terminal-state", has_text="live").wait_for()
    shape = stranger.locator("#screen canvas").bounding_box()
    assert shape["width"] > 100 and shape["height"] > 100

    other = cloud.client("ec2")
    assert not [
        i for r in other.describe_instances()["Reservations"] for i in r["Instances"]
        if i["InstanceId"] == instance_id
    ]  # fmt: skip
    stranger.goto(f"/instances/{instance_id}")
    stranger.once("dialog", lambda dialog: dialog.accept())
    stranger.click("button[value=terminate]")
    stranger.goto("/instances")
    stranger.locator("tr", has_text=instance_id).get_by_text("terminated").wait_for()


def public_demo(cloud):
    """Built by the administrator, for everybody."""
    image_id = json.loads(cloud.run("image", "build", "demo", "-o", "json").stdout)["image_id"]
    kernel = cloud.ec2.describe_images(ImageIds=[image_id])["Images"][0]
    for found in filter(None, (image_id, kernel.get("KernelId"), kernel.get("RamdiskId"))):
        cloud.ec2.modify_image_attribute(ImageId=found, LaunchPermission={"Add": [{"Group": "all"}]})
    return image_id


def test_a_guest_reads_its_roles_credentials(cloud, tmp_path):
    iam, ec2 = cloud.client("iam"), cloud.ec2
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="guest", AssumeRolePolicyDocument=document)
    read_only = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"
    iam.attach_role_policy(RoleName="guest", PolicyArn=read_only)
    iam.create_instance_profile(InstanceProfileName="guest")
    iam.add_role_to_instance_profile(InstanceProfileName="guest", RoleName="guest")
    key = tmp_path / "k.pem"
    key.write_text(ec2.create_key_pair(KeyName="k")["KeyMaterial"])
    key.chmod(0o600)
    group = ec2.create_security_group(GroupName="ssh", Description="SSH")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    [instance] = ec2.run_instances(
        ImageId=public_demo(cloud), MinCount=1, MaxCount=1, KeyName="k", SecurityGroupIds=[group],
        IamInstanceProfile={"Name": "guest"},
    )["Instances"]  # fmt: skip
    [found] = cloud.wait_state([instance["InstanceId"]], "running")
    url = "http://169.254.169.254/latest/meta-data/iam/security-credentials/guest"
    text = ssh(key, found["PublicIpAddress"], f"until wget -q -O - {url}; do sleep 1; done")
    given = json.loads(text)
    session = cloud.client(
        "ec2",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["Token"],
    )
    assert session.describe_instances()["Reservations"]
    cloud.terminate([instance["InstanceId"]])
