import pytest

from serving import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server that most tests share. It must end well."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    status = server.stop()
    assert status == 0, f"status {status}: {''.join(server.log)[-2000:]}"


@pytest.fixture
def own_server(tmp_path):
    """Makes servers that end with the test; they may have ended before."""
    servers = []

    def start(*arguments, **options):
        servers.append(Server(tmp_path / f"server{len(servers)}", *arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()
