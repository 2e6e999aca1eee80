"""What a user needs in their tools: one text for each client, and all of them as a zip. Pure.

The zip has what that of 1.6.2 had (eucarc, keys, certificates) and what today's clients read.
"""

import io
import json
import shlex
import zipfile
from dataclasses import dataclass, field

PROFILE = "euca-box"


@dataclass(frozen=True)
class Credentials:
    """`ca_pem`: of the API's certificate, empty where the endpoint is plain. `certificate`, `private_key`,
    `cloud_certificate`: PEM for bundles and SOAP, empty without."""

    user: str
    account: str
    account_name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    endpoint: str
    region: str
    ca_pem: str = ""
    certificate: str = ""
    private_key: str = field(default="", repr=False)
    cloud_certificate: str = ""
    s3_endpoint: str = ""  # where Walrus is on another host

    @property
    def s3(self) -> str:
        return self.s3_endpoint or self.endpoint

    @property
    def host(self) -> str:
        """HOST:PORT of the endpoint of S3."""
        return self.s3.partition("://")[2]

    @property
    def is_secure(self) -> bool:
        """Whether a client needs the authority's certificate."""
        return "https:" in (self.endpoint[:6], self.s3[:6])


def files(found: Credentials) -> dict[str, str]:
    """Name -> text, as they lie in the zip."""
    texts = {
        "README.txt": _readme(found),
        "eucarc": _eucarc(found),
        "env.sh": _env(found),
        "aws/config": aws_config(found, "ca.pem"),
        "aws/credentials": aws_credentials(found),
        "euca2ools.ini": _euca2ools(found),
        "provider_override.tf": _terraform(found),
        "s3cfg": _s3cfg(found),
        "rclone.conf": _rclone(found),
        "mc.json": _mc(found),
    }
    pems = {
        "ca.pem": found.ca_pem,
        _base(found) + "-cert.pem": found.certificate,
        _base(found) + "-pk.pem": found.private_key,
        "cloud-cert.pem": found.cloud_certificate,
    }
    return texts | {name: text for name, text in pems.items() if text}


def as_zip(found: Credentials) -> bytes:
    """Every file for its owner only."""
    folder = f"euca-box-{found.user}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files(found).items():
            entry = zipfile.ZipInfo(f"{folder}/{name}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100600 << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


def aws_config(found: Credentials, ca_file: str) -> str:
    """The profile for ~/.aws/config. `ca_file` is used where the endpoint has TLS."""
    lines = [f"[profile {PROFILE}]", f"region = {found.region}", f"endpoint_url = {found.endpoint}"]
    if found.s3 != found.endpoint:
        lines.append(f"services = {PROFILE}")
    lines += ["output = json", "cli_pager ="]
    if found.is_secure and ca_file:
        lines.append(f"ca_bundle = {ca_file}")
    lines += ["s3 =", "  addressing_style = path"]
    if found.s3 != found.endpoint:
        lines += [f"[services {PROFILE}]", "s3 =", f"  endpoint_url = {found.s3}"]
    return "\n".join([*lines, ""])


def aws_credentials(found: Credentials) -> str:
    return "\n".join(
        [
            f"[{PROFILE}]",
            f"aws_access_key_id = {found.access_key_id}",
            f"aws_secret_access_key = {found.secret_access_key}",
            "",
        ]
    )


def _base(found: Credentials) -> str:
    return f"euca-box-{found.user}"


def _here(script: str) -> str:
    """The folder of a file that a shell reads, whatever the shell's own folder is."""
    return f'$(cd "$(dirname "${{BASH_SOURCE:-{script}}}")" && pwd)'


def _eucarc(found: Credentials) -> str:
    """The variables of 1.6.2 and its aliases, and those that came later."""
    base = _base(found)
    lines = [
        f"EUCA_KEY_DIR={_here('eucarc')}",
        f"export S3_URL={found.s3}/services/Walrus",
        f"export EC2_URL={found.endpoint}/services/Eucalyptus",
        f"export EUARE_URL={found.endpoint}/services/Euare",
        f"export TOKEN_URL={found.endpoint}/services/Tokens",
        f"export AWS_IAM_URL={found.endpoint}/services/Euare",
        f"export EC2_PRIVATE_KEY=${{EUCA_KEY_DIR}}/{shlex.quote(base)}-pk.pem",
        f"export EC2_CERT=${{EUCA_KEY_DIR}}/{shlex.quote(base)}-cert.pem",
        "export EC2_JVM_ARGS=-Djavax.net.ssl.trustStore=${EUCA_KEY_DIR}/jssecacerts",
        "export EUCALYPTUS_CERT=${EUCA_KEY_DIR}/cloud-cert.pem",
        f"export EC2_ACCESS_KEY={shlex.quote(found.access_key_id)}",
        f"export EC2_SECRET_KEY={shlex.quote(found.secret_access_key)}",
        f"export EC2_USER_ID={found.account}",
        'alias ec2-bundle-image="ec2-bundle-image --cert ${EC2_CERT} --privatekey ${EC2_PRIVATE_KEY} '
        '--user ${EC2_USER_ID} --ec2cert ${EUCALYPTUS_CERT}"',
        'alias ec2-upload-bundle="ec2-upload-bundle -a ${EC2_ACCESS_KEY} -s ${EC2_SECRET_KEY} '
        '--url ${S3_URL} --ec2cert ${EUCALYPTUS_CERT}"',
        _aws_variables(found, "${EUCA_KEY_DIR}"),
    ]
    return "\n".join(line for line in lines if "JVM_ARGS" not in line or found.ca_pem)


def _env(found: Credentials) -> str:
    return f"EUCA_BOX_DIR={_here('env.sh')}\n{_aws_variables(found, '${EUCA_BOX_DIR}')}"


def _aws_variables(found: Credentials, folder: str) -> str:
    lines = [
        f"export AWS_ACCESS_KEY_ID={shlex.quote(found.access_key_id)}",
        f"export AWS_SECRET_ACCESS_KEY={shlex.quote(found.secret_access_key)}",
        f"export AWS_DEFAULT_REGION={found.region} AWS_REGION={found.region}",
        f"export AWS_ENDPOINT_URL={found.endpoint}",
        f"export AWS_ENDPOINT_URL_EC2={found.endpoint} AWS_ENDPOINT_URL_S3={found.s3}",
        "unset AWS_SESSION_TOKEN AWS_PROFILE",
    ]
    if found.is_secure and found.ca_pem:
        # rclone 1.60 cannot read the bundle and stops: its own file has no need of the variable.
        lines.append(f'export AWS_CA_BUNDLE="{folder}/ca.pem"')
    return "\n".join([*lines, ""])


def _euca2ools(found: Credentials) -> str:
    who = f"{found.account}:{found.user}"
    lines = [
        f"[region {PROFILE}]",
        f"ec2-url = {found.endpoint}/services/Eucalyptus",
        f"s3-url = {found.s3}/services/Walrus",
        f"iam-url = {found.endpoint}/services/Euare",
        f"sts-url = {found.endpoint}/services/Tokens",
        *(["certificate = cloud-cert.pem"] if found.cloud_certificate else []),
        f"user = {who}",
        "",
        f"[user {who}]",
        f"key-id = {found.access_key_id}",
        f"secret-key = {found.secret_access_key}",
        f"account-id = {found.account}",
    ]
    if found.certificate:
        lines += [f"private-key = {_base(found)}-pk.pem", f"certificate = {_base(found)}-cert.pem"]
    return "\n".join([*lines, ""])


NAMES = ("ec2", "iam", "s3", "sts")


def _terraform(found: Credentials) -> str:
    urls = dict.fromkeys(NAMES, found.endpoint) | {"s3": found.s3}
    services = "\n".join(f'    {name:<3} = "{url}"' for name, url in urls.items())
    ca = '  custom_ca_bundle        = "${path.module}/ca.pem"\n' if found.is_secure and found.ca_pem else ""
    return (
        f'provider "aws" {{\n  region                  = "{found.region}"\n'
        f'  access_key              = "{found.access_key_id}"\n'
        f'  secret_key              = "{found.secret_access_key}"\n{ca}'
        "  s3_use_path_style       = true\n  skip_region_validation  = true\n"
        f"  skip_metadata_api_check = true\n\n  endpoints {{\n{services}\n  }}\n}}\n"
    )


def _s3cfg(found: Credentials) -> str:
    ca = ["ca_certs_file = ca.pem"] if found.is_secure and found.ca_pem else []
    return "\n".join(
        [
            "[default]",
            f"access_key = {found.access_key_id}",
            f"secret_key = {found.secret_access_key}",
            f"host_base = {found.host}",
            f"host_bucket = {found.host}",
            f"bucket_location = {found.region}",
            f"use_https = {found.s3.startswith('https:')}",
            *ca,
            "",
        ]
    )


def _rclone(found: Credentials) -> str:
    return "\n".join(
        [
            f"[{PROFILE}]",
            "type = s3",
            "provider = Other",
            f"access_key_id = {found.access_key_id}",
            f"secret_access_key = {found.secret_access_key}",
            f"region = {found.region}",
            f"endpoint = {found.s3}",
            "force_path_style = true",
            "",
        ]
    )


def _mc(found: Credentials) -> str:
    alias = {
        "url": found.s3,
        "accessKey": found.access_key_id,
        "secretKey": found.secret_access_key,
        "api": "s3v4",
        "path": "on",
    }
    return json.dumps({"version": "10", "aliases": {PROFILE: alias}}, indent=2) + "\n"


def _readme(found: Credentials) -> str:
    return f"""Credentials of {found.user} for {found.endpoint}
Account {found.account} ({found.account_name})

Whoever has this folder is {found.user}: keep it for yourself.

AWS CLI, boto3       . ./env.sh, or the two pieces in aws/ into ~/.aws/config and ~/.aws/credentials
                     (aws/config names ca.pem: give its full path)
euca2ools, ec2-*     . ./eucarc, or euca2ools.ini in ~/.euca/
Terraform, OpenTofu  provider_override.tf beside your files
s3cmd                s3cmd -c s3cfg ls
rclone               rclone --config rclone.conf lsd {PROFILE}: (with TLS: --ca-cert ca.pem)
MinIO's mc           mc.json is ~/.mc/config.json
"""
