"""Bundles made by openssl, tar and gzip, by the published algorithm and with nothing of ours."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

PART_BYTES = 10 * 1024 * 1024


def run(*argv: str, data: bytes = b"", cwd: Path | None = None) -> bytes:
    return subprocess.run(argv, input=data, check=True, capture_output=True, cwd=cwd).stdout


@dataclass
class Bundler:
    """The files of a user in a folder: cert.pem, pk.pem, cloud-cert.pem."""

    folder: Path
    user: str = "000100729354"
    key: bytes = bytes(range(16))
    iv: bytes = bytes(range(16, 32))

    def wrapped(self, secret: bytes, certificate: str) -> str:
        argv = ("openssl", "pkeyutl", "-encrypt", "-certin", "-inkey", certificate)
        return run(*argv, data=secret.hex().encode(), cwd=self.folder).hex()

    def bundle(
        self,
        name: str,
        image: bytes,
        *,
        machine: str = "",
        kind: str = "machine",
        part_bytes: int = PART_BYTES,
        lies: dict[str, str] | None = None,
    ) -> dict[str, bytes]:
        """File name -> content: the parts, and the manifest as NAME.manifest.xml.

        `lies` are replaced in what is signed; `machine` stands in the machine_configuration.
        """
        (self.folder / name).write_bytes(image)
        tar = run("tar", "c", "-h", "-S", name, cwd=self.folder)
        cipher = ("openssl", "enc", "-e", "-aes-128-cbc", "-K", self.key.hex(), "-iv", self.iv.hex())
        packed = run(*cipher, data=run("gzip", data=tar))
        cut = [packed[n : n + part_bytes] for n in range(0, len(packed), part_bytes)]
        files = {f"{name}.part.{n}": part for n, part in enumerate(cut)}
        parts = "".join(
            f'<part index="{n}"><filename>{part}</filename>'
            f'<digest algorithm="SHA1">{hashlib.sha1(data).hexdigest()}</digest></part>'
            for n, (part, data) in enumerate(files.items())
        )
        signed = (
            f"<machine_configuration><architecture>x86_64</architecture>{machine}</machine_configuration>"
            f"<image><name>{name}</name><user>{self.user}</user><type>{kind}</type>"
            f'<digest algorithm="SHA1">{hashlib.sha1(tar).hexdigest()}</digest>'
            f"<size>{len(image)}</size><bundled_size>{len(packed)}</bundled_size>"
            f'<ec2_encrypted_key algorithm="AES-128-CBC">{self.wrapped(self.key, "cloud-cert.pem")}'
            f'</ec2_encrypted_key><user_encrypted_key algorithm="AES-128-CBC">'
            f"{self.wrapped(self.key, 'cert.pem')}</user_encrypted_key>"
            f"<ec2_encrypted_iv>{self.wrapped(self.iv, 'cloud-cert.pem')}</ec2_encrypted_iv>"
            f"<user_encrypted_iv>{self.wrapped(self.iv, 'cert.pem')}</user_encrypted_iv>"
            f'<parts count="{len(files)}">{parts}</parts></image>'
        )
        for old, new in (lies or {}).items():
            assert old in signed, old
            signed = signed.replace(old, new)
        signature = run("openssl", "dgst", "-sha1", "-sign", "pk.pem", data=signed.encode(), cwd=self.folder)
        files[f"{name}.manifest.xml"] = (
            '<?xml version="1.0" ?><manifest><version>2007-10-10</version><bundler><name>euca-tools</name>'
            f"<version>1.2</version><release>31337</release></bundler>{signed}"
            f"<signature>{signature.hex()}</signature></manifest>"
        ).encode()
        return files
