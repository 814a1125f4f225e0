"""The fleet's page, served by a thread, and a client with cookies that follows nothing by itself."""

import http.client
import re
import threading
import time
from contextlib import closing, contextmanager
from http.cookies import SimpleCookie
from urllib.parse import quote, urlencode

from argon2 import PasswordHasher

from host_tools.fleet.accounts import Accounts, Role, User
from host_tools.fleet.desk import Desk
from host_tools.fleet.serve import Listen, bound_to, server
from host_tools.fleet.watch import Terms
from host_tools.fleet.web.app import make
from host_tools.fleet.web.security import Line

CODE = "the-code-that-was-printed"
PASSWORD = "correct horse battery"
ROLES = {"reader": Role.READ, "actor": Role.ACT, "admin": Role.ADMIN}


def quick(database):
    """Accounts whose passwords cost nothing to check."""
    return Accounts(database, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Site:
    """A server that runs."""

    def __init__(self, db, port, desk):
        self.db = db
        self.port = port
        self.desk = desk
        self.address = f"http://127.0.0.1:{port}"

    def client(self, name=None, language="en"):
        return Client(self, language).log_in(name) if name else Client(self, language)

    def ask(self, work):
        """Has the desk's thread do it."""
        return self.desk._thread.submit(work).result()

    def explained(self):
        """Waits until all bills are."""
        while self.desk.to_explain:
            time.sleep(0.01)

    def token(self, name):
        """A new API token of an account."""
        return self.ask(lambda: self.desk.accounts.add_token(User(name, ROLES[name]), "test", ROLES[name]))


@contextmanager
def serving(db, terms=None, line=None, accounts=True, code=CODE):
    with closing(bound_to(Listen(port=0))) as bound, closing(Desk(db, terms or Terms(), quick)) as desk:
        if accounts:
            for name, role in ROLES.items():
                desk.accounts.add(name, PASSWORD, role, "test")
        app = make(desk, line or Line(), code)
        serves = server(desk, app, Listen())
        thread = threading.Thread(target=serves.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            while not serves.started and thread.is_alive():
                time.sleep(0.01)
            yield Site(db, bound.getsockname()[1], desk)
        finally:
            serves.should_exit = True
            thread.join()


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def location(self):
        return self.headers["location"]


class Client:
    def __init__(self, site, language="en"):
        self.site = site
        self.cookies = {}
        self.csrf = ""
        self.language = language

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=60)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        own = {"Accept-Language": self.language, **({"Cookie": cookies} if cookies else {})}
        with closing(connection):
            connection.request(method, path, body, own | headers)
            answer = Answer(connection.getresponse())
        for line in answer.headers.get_all("set-cookie", ()):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
        return answer

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, path, fields, csrf=None, **headers):
        csrf = self.csrf if csrf is None else csrf
        body = urlencode({**fields, **({"csrf": csrf} if csrf else {})})
        own = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.site.address}
        return self.ask("POST", path, body, **own | headers)

    def log_in(self, name, password=PASSWORD):
        answer = self.post("/login", {"name": name, "password": password})
        assert answer.status == 303, answer.text
        self.csrf = re.search(r'name="csrf" value="(\w+)"', self.get("/").text)[1]
        return self


def device_path(device, rest=""):
    return f"/devices/{quote(device, safe='')}{rest}"
