"""Takes out of the merged module what is seldom run, so that it is loaded when it is called, and let go.

Two kinds of functions leave the firmware's module, for modules beside it:

- what only a start runs (BOOT): that module puts its functions into their classes when the firmware is loaded, and
  takes them out again in `done()`, which `app.run` calls
- what runs once in minutes or hours (SELDOM): the class finds such a method by its name in the module that it then
  imports. Where that cannot be, a method that imports the module and calls the function stays in the class.
  `Guard.step` lets the modules go when nothing is due; a generator that is under way holds its module

What only such functions use (other functions, constants) goes with them.
"""

from __future__ import annotations

import ast
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from host_tools.build.bundle import written
from host_tools.build.scopes import Globals, bound

BOOT = "usageguard_boot"
AT_BOOT = """
Account.__init__ Account.restore Admission.__init__ Clock.__init__ Coap.__init__ Enforcement.__init__
Enforcement._restore Guard.__init__ Guard.install Ledger.__init__ Ledger.open Ledger._restore Meter.__init__
Ledger._charge Ledger.begin_anew _Figure.recover _Figure.unpack
Outbox.__init__ PeriodTracker.__init__ Policy.__init__ Policy.restore ReportPath.__init__ Ring.__init__ Ring.open
Standing.__init__
BufferedConnection.__init__ Cellular.__init__ Connection.__init__ Modem.__init__ Names.__init__
Ca.__init__ CaConnection.__init__ Cip.__init__ CipConnection.__init__ Cipstart.__init__ CipstartConnection.__init__
Generic.__init__ MipConnection.__init__ Mip.__init__ Quectel.__init__ Sequans.__init__ SequansConnection.__init__
Usocr.__init__ UsocrConnection.__init__ AheadConnection.__init__ Hal.__init__
Hal.modem_dtr Hal.ppp
Clock.woke Probe.woke Admission.woke
"""
SELDOM = {
    # Until the modem answers.
    "usageguard_power": "Cellular._boot Hal.deep_sleep Hal.modem_power Hal._supply Hal._switch_axp2101",
    # What follows, also when the SIM or the network comes and goes.
    "usageguard_modem": """
Cellular._bring_up Cellular._check_sim Cellular._check_registration Cellular._gather Cellular._go_offline
Cellular._go_online Cellular._end_connections Cellular._take_clock Cellular._revive
Cellular._read_time Quectel._activate Quectel._deactivate Quectel._identify Quectel._read_time
Ca._activate Ca._deactivate Ca._identify
Cip._activate Cip._deactivate Cip._identify Cip._read_time Cipstart._activate Cipstart._take_pushes
Cipstart._deactivate Cipstart._identify Generic._activate Generic._identify Mip._activate Mip._deactivate Mip._identify
Usocr._activate Usocr._deactivate Usocr._identify Sequans._deactivate Enforcement._look_at_sim
Cip._is_active Ca._is_active Cipstart._is_active Usocr._is_active Mip._is_active Generic._is_active Quectel._is_active
Enforcement.served Enforcement.refused Admission._anchor
""",
    # The beginning and the end of a connection.
    "usageguard_connect": """
Connection.open BufferedConnection._begin BufferedConnection._look_up BufferedConnection._find_address
BufferedConnection._await BufferedConnection._settle BufferedConnection._see_end BufferedConnection._close
BufferedConnection._quit_connection AheadConnection._count_total QuectelConnection._open QuectelConnection._ask_state
QuectelConnection.count_unread
CaConnection._open CaConnection._ask_state CaConnection.count_unread CipConnection._open CipConnection._ask_state
CipConnection.count_unread CipstartConnection._open CipstartConnection._ask_state CipstartConnection.count_unread
MipConnection._open MipConnection._ask_state MipConnection.count_unread MipConnection._quit_connection
SequansConnection._open SequansConnection.count_unread UsocrConnection._open UsocrConnection._explain
UsocrConnection.count_unread Usocr.close_strays ReportPath._open
""",
    # A report, its acknowledgement, and the time that this brings.
    "usageguard_report": """
Outbox._sealed Outbox._notice Outbox.receive Outbox._begin Outbox._remember Outbox._raise Outbox._failed Coap.begin
Coap.receive Clock.server Clock._use Clock._contradicts Clock._hear Clock._confirmed Clock._reckon
PeriodTracker.server_time PeriodTracker._network_time PeriodTracker._reopen Guard._order
""",
    # What changes with an event: an order, a limit that is reached, another state of the SIM, a new billing period. One
    # module, as the parts of such a change call each other: there is memory for all of it, or it does not begin.
    "usageguard_policy": """
Enforcement.obey Policy._become Policy._judge Policy._find_least Policy.set_limit Policy.apply Policy.set_plan
Account.throttle Account.allow Account._set_limits Account.close_cycle PeriodTracker._begin Admission.begin_cycle
Ledger.new_cycle Guard.activate
""",
    # The status for the console.
    "usageguard_status": "Guard._publish",
}


_STAYS = {"_notice", "_raise", "_remember"}
"""Methods that steps call in which nothing is sent: to find one by its name allocates."""
_FIND = """
def find_late(self, name):
    function = getattr(__import__(getattr(Where, name)), name)
    return lambda *given: function(self, *given)
"""


def parted(text: str, kept: Iterable[str], package: str, beside: Iterable[str] = ()) -> tuple[str, dict[str, str]]:
    """The merged module `text` of `package` without those functions, and the modules that have them, by name.

    `kept` are names that other modules import from it, `beside` the sources of those that call its methods. Raises
    ValueError for a function that cannot leave.
    """
    tree = ast.parse(text)
    groups = {BOOT: _Group(BOOT, AT_BOOT), **{name: _Group(name, listed) for name, listed in SELDOM.items()}}
    found = _found_by_name(tree, [ast.parse(each) for each in beside], {*" ".join(SELDOM.values()).split()})
    for statement in list(tree.body):
        if isinstance(statement, ast.ClassDef):
            for group in groups.values():
                group.take_methods(statement, found)
    _share_out(tree, groups, {*kept})
    names = [name for name in groups if name != BOOT]
    where = "".join(f"    {method} = {group.name!r}\n" for group in groups.values() for method in group.found)
    if where:
        tree.body[:0] = ast.parse(f"class Where:\n{where}{_FIND}").body
    tree.body.append(ast.parse(f"LATE = {tuple(names)!r}").body[0])
    tree.body += ast.parse(f"__import__({BOOT!r})").body  # without a name that holds it
    return written(tree), {name: group.text(tree, package) for name, group in groups.items()}


class _Group:
    """One of the modules."""

    def __init__(self, name: str, listed: str) -> None:
        self.name = name
        self._listed = {*listed.split()}
        self._methods: dict[str, str] = {}  # names in the module by qualified names
        self.body: list[ast.stmt] = []
        self.found: list[str] = []
        """Methods that their classes find by name."""

    def take_methods(self, owner: ast.ClassDef, found: set[str]) -> None:
        before = len(self.found)
        for at, method in enumerate(owner.body):
            qualified = f"{owner.name}.{getattr(method, 'name', '')}"
            if qualified not in self._listed or not isinstance(method, ast.FunctionDef):
                continue
            if method.decorator_list or method.args.kwonlyargs or method.args.vararg or method.args.kwarg:
                raise ValueError(f"{qualified}: cannot be loaded late, by its parameters or decorators")
            name, number = method.name, 1
            while self.name != BOOT and name in self._methods.values():
                number += 1
                name = f"{method.name}_{number}"
            self._methods[qualified] = name
            if self.name != BOOT and name in found:
                self.found.append(name)
                owner.body[at] = ast.Pass()
            else:
                owner.body[at] = ast.Pass() if self.name == BOOT else self._stub(method, name)
            moved = ast.FunctionDef(name, method.args, method.body, [], None)
            for node in ast.walk(moved):
                _name_base(node, owner)
            self.body.append(moved)
            if self.name == BOOT:  # at once: the next one may have the same name, which costs nothing
                self.body += ast.parse(f"{qualified} = {name}").body
        if len(self.found) > before and "__getattr__" not in bound(owner):
            owner.body += ast.parse("__getattr__ = find_late").body

    def _stub(self, method: ast.FunctionDef, name: str) -> ast.FunctionDef:
        arguments = ", ".join(argument.arg for argument in method.args.args)
        (call,) = ast.parse(f"return __import__({self.name!r}).{name}({arguments})").body
        return ast.FunctionDef(method.name, method.args, [call], [], None)

    def text(self, rest: ast.Module, package: str) -> str:
        """The module's source; what it uses of `rest` it takes from the package."""
        module = ast.Module(self.body, [])
        needed = sorted((_used(module) & {*bound(rest)}) - {*bound(module)})
        lines = [f"from {package} import {name}" for name in needed]
        text = "\n".join(lines) + "\n" + written(module)
        if self.name == BOOT:
            text += "def done():\n" + "".join(f"    {qualified} = None\n" for qualified in self._methods)
        return text


def _found_by_name(tree: ast.Module, beside: Iterable[ast.Module], late: set[str]) -> set[str]:
    """The names of those methods `late` that a class may find when it is asked for them: each is in one class only, and
    only called, by position and on an object. A method as a value would hold its module."""
    owners: Counter[str] = Counter()
    used_otherwise: set[str] = set()
    called: set[int] = set()  # a call comes before what it calls
    for node in itertools.chain(*map(ast.walk, (tree, *beside))):
        match node:
            case ast.ClassDef():
                owners.update({*bound(node)})
            case ast.Call(func=ast.Attribute(value=value, attr=name), args=args, keywords=keywords):
                called.add(id(node.func))
                by_position = not keywords and not any(isinstance(each, ast.Starred) for each in args)
                of_class = isinstance(value, ast.Name) and value.id.lstrip("_")[:1].isupper()
                if not by_position or of_class or isinstance(value, ast.Call):  # super() for one
                    used_otherwise.add(name)
            case ast.Attribute(attr=name) if id(node) not in called:
                used_otherwise.add(name)
    names = {each.partition(".")[2] for each in late if each.partition(".")[0] in bound(tree)}
    return {name for name in names if owners[name] == 1} - used_otherwise - _STAYS


def _name_base(node: ast.AST, owner: ast.ClassDef) -> None:
    """`super().f(x)` has no meaning outside the class."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[])) as function):
            function.value = owner.bases[0]
            node.args.insert(0, ast.Name("self", ast.Load()))


class _Used(Globals):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self.is_global(node):
            self.found.add(node.id)
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        self.found.update(node.names)
        return node


def _used(node: ast.AST) -> set[str]:
    """The global names that a module or one of its statements uses."""
    used = _Used()
    used.visit(node)
    return used.found


def _share_out(tree: ast.Module, groups: Mapping[str, _Group], kept: set[str]) -> None:
    """Moves functions and constants of the module that only the groups use to these, to each that does."""
    free = {name: statement for statement in tree.body for name in _freely_defined(statement)}
    uses = {name: _used(statement) - {name} for name, statement in free.items()}
    rest = set().union(*(_used(statement) for statement in tree.body if statement not in [*free.values()]))
    needed = _reached(uses, rest | kept)
    for group in groups.values():
        wanted = _reached(uses, set().union(*map(_used, group.body))) - needed
        group.body[:0] = [statement for name, statement in free.items() if name in wanted]
    tree.body = [each for each in tree.body if each not in [free[name] for name in free.keys() - needed]]


def _reached(uses: Mapping[str, set[str]], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    pending = [*names]
    while pending:
        name = pending.pop()
        if name in uses and name not in found:
            found.add(name)
            pending += uses[name]
    return found


def _freely_defined(statement: ast.stmt) -> Iterator[str]:
    """The name that a statement defines, if it can be anywhere: a function's, or a constant's."""
    match statement:
        case ast.FunctionDef(name=name, decorator_list=[]):
            if not any(isinstance(node, ast.Global) for node in ast.walk(statement)):
                yield name
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            made = [node for node in ast.walk(value) if isinstance(node, (ast.Call, ast.List, ast.ListComp))]
            if all(_is_command(node) for node in made) and (not made or isinstance(value, ast.Tuple)):
                yield name


def _is_command(node: ast.AST) -> bool:
    """Whether it is the text of a modem's command, whose number is put in at each use."""
    match node:
        case ast.Call(func=ast.Name(id="bytearray"), args=[ast.Constant(value=bytes())]):
            return True
    return False
