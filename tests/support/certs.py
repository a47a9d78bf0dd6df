"""A certificate authority for the tests, and certificates from it: EC P-256, made by openssl."""
import hashlib
import pathlib
import ssl
import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "ca.crt"
        self._key = self._new_key("ca")
        _openssl("req", "-x509", "-new", "-key", self._key, "-sha256", "-days", 30, "-subj", "/CN=Ferry test CA",
                 "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.certificate)

    def _new_key(self, name):
        path = self.directory / f"{name}.key"
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        path.chmod(0o644)  # Exim's delivery user and a broker of another user read it
        return path

    def issue(self, name, usage="serverAuth", days=10, hosts="DNS:localhost,IP:127.0.0.1,IP:::1"):
        """Returns an object with .certificate, .key and .both (key, then certificate, in one PEM file)."""
        key, certificate = self._new_key(name), self.directory / f"{name}.crt"
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={hosts}\nextendedKeyUsage={usage}\n")
        _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
                 "-days", days, "-sha256", "-extfile", extensions, "-out", certificate)
        both = self.directory / f"{name}.pem"
        both.write_text(key.read_text() + certificate.read_text())
        return Certificate(certificate, key, both)

    def server_context(self, issued):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=str(self.certificate))


class Certificate:
    def __init__(self, certificate, key, both):
        self.certificate, self.key, self.both = certificate, key, both

    def fingerprint(self):
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return hashlib.sha256(der).hexdigest()
