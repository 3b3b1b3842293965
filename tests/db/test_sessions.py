"""Sessions for both kinds of code, and the functions that take either."""

import inspect
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import scoped_session, sessionmaker

from schema import (
    Criteria,
    Database,
    DBWrapper,
    Image,
    Study,
    SyncDatabase,
    add_found_study,
    add_image,
    add_images,
    add_to_project,
    count_images,
    create_project,
    crud,
    dump_database,
    get_db_session,
    get_project_members,
    get_project_study_uids,
    get_studies_to_move,
    get_study_uids_to_move,
    image_uids,
    list_projects,
    record_found,
    remove_from_project,
    select_studies,
    summary,
    update_retrieved_study,
)
from schema import database_url as database_url_of
from schema.crud import (
    add_quarantined,
    finish_cycle,
    get_ambiguous_accessions,
    get_unfound,
    recent_studies,
    start_cycle,
)
from tests.db.records import finding, header, record
from tests.support.images import generate

GUIDE = """\
storage:
  resources: "{url}"
  resources_meta: ""
  directory: ""
"""


def test_a_session_by_url_needs_no_await_in_plain_code(database_url):
    SyncDatabase(database_url).initialize()
    with pytest.raises(ZeroDivisionError):
        with get_db_session(database_url) as session:
            add_image(session, header())
            _ = 1 / 0
    with get_db_session(database_url) as session:
        assert add_image(session, header()).image_uid == "1.1.1.1"
        session.commit()
        add_image(session, header("2"))  # never committed
    with DBWrapper(database_url) as wrapper:
        session = wrapper.conn()
        assert wrapper.conn() is session
        assert session.scalar(select(func.count(Image.id))) == 1
        add_image(session, header("3"))
        session.commit()
    wrapper = DBWrapper(database_url)
    assert wrapper.conn().scalar(select(func.count(Image.id))) == 2
    wrapper.close()
    wrapper.close()


def test_a_wrapper_creates_the_tables_for_plain_code_too(database_url):
    with DBWrapper(database_url, create_tables=True) as wrapper:
        assert get_study_uids_to_move(wrapper.conn()) == []
    assert not SyncDatabase(database_url).initialize().changed


async def test_one_wrapper_has_both_kinds_of_session_and_says_how_to_close_them(database_url):
    async with DBWrapper(database_url, create_tables=True) as wrapper:
        await add_image(await wrapper.get_session(), header())
        await (await wrapper.get_session()).commit()
        assert wrapper.conn().scalar(select(func.count(Image.id))) == 1
    wrapper = DBWrapper(database_url)
    with pytest.raises(TypeError, match="write `async with DBWrapper"):
        with wrapper:
            await wrapper.get_session()
    await wrapper.close()


async def test_create_engine_takes_the_address_of_a_configuration(migrated_url, tmp_path):
    configuration = tmp_path / "node_conf.yaml"
    configuration.write_text(GUIDE.format(url=migrated_url))
    config = SimpleNamespace(storage=SimpleNamespace(resources=migrated_url))
    for source in (str(configuration), configuration, config, {"storage": vars(config.storage)}):
        engine = create_engine(database_url_of(source))
        with sessionmaker(bind=engine)() as session:
            assert session.query(Image).count() == 0
        engine.dispose()
        async with Database(source) as db, db.session() as session:
            assert await session.scalar(select(func.count(Image.id))) == 0


def test_a_session_of_one_s_own_engine_serves_the_functions_as_well(migrated_url, tmp_path):
    (file,) = generate(tmp_path / "own", images=1)
    engine = create_engine(database_url_of(migrated_url))
    with sessionmaker(bind=engine)() as session:
        image = add_image(session, file.path, institution="North")
        session.commit()
        assert image.dataset().SOPInstanceUID == file.sop_instance_uid
        (again,) = session.query(Image).filter(Image.StudyDate >= "2024-01-01")
        assert (again, again.series.study.patient.institution) == (image, "North")
    scoped = scoped_session(sessionmaker(bind=engine))
    assert count_images(scoped, [image.study_uid]) == {image.study_uid: 1}
    scoped.remove()
    engine.dispose()


def test_the_address_keeps_the_options_that_psycopg_knows_and_translates_the_others():
    url = database_url_of(
        "postgresql://u:p@h/d?ssl=require&work_mem=5MB&prepared_statement_cache_size=0"
    )
    assert url.drivername == "postgresql+psycopg"
    assert dict(url.query) == {"sslmode": "require", "options": "-c work_mem=5MB"}
    assert url.password == "p"
    assert str(database_url_of("sqlite:///x.db")) == "sqlite:///x.db"


# --- either kind of session ---------------------------------------------------------------------


async def test_the_functions_say_the_same_to_either_kind_of_session(db, tmp_path):
    (file,) = generate(tmp_path / "one", images=1)
    with db.sync.begin() as session:
        assert add_found_study(session, finding("1.1", 2)).study_uid == "1.1"
        assert add_found_study(session, finding("1.1", 2)) is None
        assert [one.outcome for one in record_found(session, [finding("1.1", 3)], peer="p")] == [
            "changed"
        ]
        assert add_image(session, file.path, institution="North").filepath == str(file.path)
        assert add_image(session=session, dcm=file.path) is None
        added = add_images(session, [record("1.1.1.1"), record("1.1.1.1"), record("1.1.1.2")])
        assert [one.inserted for one in added] == [True, False, True]
        project = create_project(session, "either")
        add_to_project(session, project.id, study_uids=["1.1", "1.9"])
        cycle = start_cycle(session, "find", "p")
        finish_cycle(session, cycle, "done", {"found": 1})
        add_quarantined(session, filepath="q", reason="r", kind="stray")
    questions = [
        (get_studies_to_move, (), {"limit": 5}),
        (get_study_uids_to_move, (), {}),
        (count_images, (["1.1"],), {}),
        (image_uids, ("1.1",), {}),
        (summary, (), {}),
        (recent_studies, (), {"limit": 3}),
        (list_projects, (), {}),
        (get_project_members, (project.id,), {}),
        (get_project_study_uids, (project.id,), {}),
        (get_unfound, (project.id,), {}),
        (get_ambiguous_accessions, (project.id,), {}),
        (select_studies, (Criteria(modality="CT"),), {}),
    ]
    for function, arguments, options in questions:
        async with db.session() as session:
            asynchronous = await function(session, *arguments, **options)
        with db.sync.session() as session:
            assert repr(function(session, *arguments, **options)) == repr(asynchronous), function
    with db.sync.begin() as session:
        assert update_retrieved_study(session, "1.1").retrieved_on is not None
        assert update_retrieved_study(session, "none") is None
        assert remove_from_project(session, project.id, study_uids=["1.9"]) is not None
    async with db.session() as session:
        assert (await Study.by_uid(session, "1.1")).study_find_id is not None
        assert await count_images(session, ["1.1"]) == {"1.1": 2}


def test_every_function_of_crud_takes_either_session_or_says_what_to_write(sqlite_url):
    functions = [getattr(crud, name) for name in crud.__all__]
    functions = [one for one in functions if not inspect.isclass(one)]
    either = [one for one in functions if not inspect.iscoroutinefunction(one)]
    assert either == functions
    SyncDatabase(sqlite_url).initialize()
    with SyncDatabase(sqlite_url).session() as session:
        for one in (crud.export_project, dump_database):
            with pytest.raises(TypeError, match=rf"SyncDatabase\(url\)\.run\({one.__name__}, …\)"):
                one(session)
        for one in functions:
            with pytest.raises(TypeError):  # at once, and not when somebody awaits
                one(session, unknown=1)


async def test_a_function_that_is_run_by_itself_dumps_for_plain_code(db, tmp_path):
    dumped = db.sync.run(dump_database, tmp_path / "dump", ["images"])
    assert [(one.table, one.rows) for one in dumped] == [("images", 0)]
