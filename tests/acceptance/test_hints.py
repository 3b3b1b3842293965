"""Commands that messages name work as they are when they are pasted."""

import re
import shlex

from tests.support.node import Node
from tests.support.processes import free_port


def pasted(text: str) -> list[list[str]]:
    """Return the command lines that a text names, without the program's name."""
    found = re.findall(r"`(dicom-node [^`]+)`|: (dicom-node .+)", text)
    return [shlex.split(quoted or bare)[1:] for quoted, bare in found]


def test_each_command_that_is_named_works_with_the_configuration_that_the_user_has_named(
    cli, tmp_path, sqlite_url
):
    folder = tmp_path / "my node"
    node = Node(cli, folder, sqlite_url, peers={"old-pacs": ("PACS", free_port())})
    (init,) = pasted(node("status").stderr)
    assert init == ["db", "init", "-f", str(node.config)]
    assert cli(*init).code == 0

    (create,) = pasted(node("project", "show", "knee").stderr)
    assert cli(*create).code == 0

    of_2020 = ("--from", "2020-01-01", "--to", "2020-01-31")
    (find,) = pasted(node("coverage", "old-pacs", *of_2020).stdout)
    assert find[:2] == ["find", "old-pacs"]
    assert cli(*find).code == 3, "it is down"
    (find,) = pasted(node("move", "old-pacs", "--study", "1.2.3").stderr)
    assert find == ["find", "old-pacs", "--study", "1.2.3", "-f", str(node.config)]
    (show,) = pasted(node("cycles", "show", "99").stderr)
    assert "old-pacs" in cli(*show).stdout
    message = node.json("cycles", "show", "99", code=2)["error"]["message"]
    assert pasted(message) == [show]

    for command in (("status",), ("find", "pacs", "--last", "1d"), ("move",), ("echo", "pacs")):
        *_, init = pasted(cli(*command).stderr)
        assert init == ["config", "init"], command
    assert cli(*init).code == 0
    assert ["config", "init"] not in pasted(cli("status").stderr)
    without = cli("cycles", "show", "99", env={"DICOM_NODE_CONFIG": str(node.config)})
    assert pasted(without.stderr) == [["cycles", "list"]]
