"""Parts that come and go: locks, loops, migrations, health, and the keeper."""

from tests.prove.safeguard import Safeguard, tests

_LOOP = "chassis/test_loop"
_KEEPER = "toolchain/test_keeper"

SAFEGUARDS = (
    Safeguard(
        "a lock has one holder",
        "chassis/lock.py",
        "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        tests("chassis/test_lock", "a_lock_has_one_holder"),
    ),
    Safeguard(
        "a loop works under its lock",
        "chassis/loop.py",
        "        async with exclusive(self.lock):\n",
        "        if exclusive(self.lock):\n",
        tests(_LOOP, "of_two_loops_with_one_lock_one_works_and_then_the_other"),
    ),
    Safeguard(
        "the lock of a loop is that of its database file",
        "chassis/database.py",
        '            return Path(f"{sqlite_file(self.url)}.{loop}.lock")\n',
        '            return Path(f"{sqlite_file(self.url)}.{id(self)}.{loop}.lock")\n',
        tests(
            "chassis/test_database",
            "on_one_file_there_is_one_loop_of_a_kind",
        ),
    ),
    Safeguard(
        "a loop outlives every fault",
        "chassis/loop.py",
        "            except Exception as error:  # noqa: BLE001",
        "            except OSError as error:  # noqa: BLE001",
        tests(_LOOP, "trouble_is_tried_again_ever_more_slowly_and_said_once"),
    ),
    Safeguard(
        "what an earlier process left is seen to before the first round",
        "chassis/loop.py",
        "            await self._until_it_succeeds(self.begin)\n",
        "",
        tests(
            _LOOP, "the_beginning_is_tried_until_it_works_and_no_round_is_done_before"
        ),
    ),
    Safeguard(
        "a signal during a round is not lost",
        "chassis/loop.py",
        "                self.signal.clear()\n"
        "                if not await self._until_it_succeeds(self.step):\n",
        "                if not await self._until_it_succeeds(self.step):\n"
        "                    self.signal.clear()\n",
        tests(_LOOP, "a_signal_during_a_round_is_not_lost"),
    ),
    Safeguard(
        "a lost signal holds nothing up for long",
        "chassis/loop.py",
        "                    await self._wait(self.sweep)\n",
        "                    await self._wait(self.sweep * 1000)\n",
        tests(_LOOP, "the_loop_sweeps_without_a_signal"),
    ),
    Safeguard(
        "a service that stops lets what is under way finish",
        "chassis/loop.py",
        "            await asyncio.wait([task], timeout=_GRACE)\n",
        "            pass\n",
        tests(_LOOP, "stopping_lets_the_round_in_flight_finish"),
    ),
    Safeguard(
        "a migration of SQLite that breaks off leaves nothing",
        "chassis/database.py",
        '.get("begin", "BEGIN IMMEDIATE")',
        '.get("begin", "SELECT 1")',
        tests(
            "chassis/test_migration",
            "a_migration_that_breaks_off_leaves_nothing_half_done[is killed]",
        ),
    ),
    Safeguard(
        "a migration of PostgreSQL that breaks off leaves nothing",
        "chassis/migration.py",
        "    engine = create_engine(url)\n",
        '    engine = create_engine(url).execution_options(isolation_level="AUTOCOMMIT")\n',
        tests(
            "chassis/test_migration_on_postgresql",
            "a_migration_that_breaks_off_leaves_nothing_half_done",
        ),
    ),
    Safeguard(
        "processes that migrate one file take turns",
        "chassis/migration.py",
        "        _wait_for(lock)\n",
        "",
        tests(
            "chassis/test_migration",
            "who_migrates_waits_for_another_process_that_does",
        ),
    ),
    Safeguard(
        "replicas that migrate one database take turns",
        "chassis/migration.py",
        "                await _take_turn(connection)\n",
        "                pass\n",
        tests(
            "chassis/test_migration_on_postgresql",
            "whoever_waits_for_another_replica_gives_up_in_the_end",
        ),
    ),
    Safeguard(
        "health is the event loop alone",
        "chassis/health.py",
        "async def is_alive() -> dict[str, str]:\n",
        "async def is_alive(request: Request) -> dict[str, str]:\n    await is_ready(request)\n",
        tests("chassis/test_health", "a_service_without_anything_is_alive"),
    ),
    Safeguard(
        "a service without its sidecar's components is not ready",
        "chassis/health.py",
        "for need in sorted(needs - there)]",
        "for need in sorted(there - there)]",
        tests("chassis/test_health", "a_sidecar_without_the_component_is_not_enough"),
    ),
    Safeguard(
        "a service without its subscriptions is not ready",
        "chassis/service.py",
        "    app.state.needs = needs | {settings.pubsub_name} | heard\n",
        "    app.state.needs = needs | {settings.pubsub_name}\n",
        tests(
            "chassis/test_health", "a_sidecar_without_the_subscription_is_not_enough"
        ),
    ),
    Safeguard(
        "a service whose loop has ended is not ready",
        "chassis/health.py",
        "            if task.done()\n",
        "            if task is None\n",
        tests("chassis/test_health", "a_loop_that_has_ended_is_named"),
    ),
    Safeguard(
        "a part that dies is started again",
        "toolchain/keeper.py",
        "            if self._is_hopeless(status):\n",
        "            if status:\n",
        tests(_KEEPER, "a_part_that_dies_is_started_again_and_that_is_said_once"),
    ),
    Safeguard(
        "a part whose configuration is wrong is given up",
        "toolchain/keeper.py",
        "return status == EX_CONFIG or (status > 0 and bool(self.last_words))",
        "return status > 0 and bool(self.last_words)",
        tests(
            _KEEPER,
            "a_part_whose_configuration_is_wrong_is_given_up_with_a_clear_word"
            "[the status that says so]",
        ),
    ),
    Safeguard(
        "a broker that is away is no wrong configuration",
        "toolchain/keeper.py",
        "        if MAY_PASS.search(self.last_words):\n",
        "        if in_use:\n",
        tests(_KEEPER, "a_broker_that_is_away_is_no_wrong_configuration"),
    ),
    Safeguard(
        "a part that is stopped may finish",
        "toolchain/keeper.py",
        "        self.stopping.set()\n        if self.child:\n            self.child.terminate()\n",
        "        self.stopping.set()\n        if self.child:\n            self.child.kill()\n",
        tests(_KEEPER, "a_keeper_that_is_asked_to_stop_lets_its_part_finish[15]"),
    ),
    Safeguard(
        "a part does not outlive its keeper",
        "toolchain/keeper.py",
        '[setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []',
        "[] if setpriv else []",
        tests(_KEEPER, "a_part_ends_in_good_order_when_its_keeper_is_killed"),
    ),
    Safeguard(
        "a keeper does not outlive who started it",
        "toolchain/keeper.py",
        "            select.select([os.pidfd_open(parent)], [], [])\n            self._stop()\n",
        "            select.select([os.pidfd_open(parent)], [], [])\n",
        tests(_KEEPER, "a_keeper_ends_with_the_program_that_started_it"),
    ),
    Safeguard(
        "each app has its keeper",
        "dapr.yaml",
        "      - toolchain/keep\n      - uvicorn\n      - --factory\n      - services.order.app:create_app\n",
        "      - uvicorn\n      - --factory\n      - services.order.app:create_app\n",
        tests(
            "components/test_run_file",
            "an_app_is_kept_running_and_listens_where_its_sidecar_looks[order]",
        ),
    ),
    Safeguard(
        "a loop that is stopped in trouble does not say that it works",
        "chassis/loop.py",
        "                if not self._stopping.is_set():\n                    self._succeeded()\n",
        "                self._succeeded()\n",
        tests(_LOOP, "a_loop_that_is_stopped_in_trouble_does_not_say_that_it_works"),
    ),
    Safeguard(
        "an app leaves it to its sidecar to close an idle connection",
        "dapr.yaml",
        "      - --timeout-keep-alive=120\n      - --timeout-graceful-shutdown=20\n  - appID: notification\n",
        "      - --timeout-graceful-shutdown=20\n  - appID: notification\n",
        tests(
            "components/test_run_file",
            "an_app_leaves_it_to_its_sidecar_to_close_an_idle_connection[order]",
        ),
    ),
    Safeguard(
        "a sidecar bears the failed probes of many restarts",
        "dapr.yaml",
        "  appHealthThreshold: 40\n",
        "  appHealthThreshold: 5\n",
        tests(
            "components/test_run_file",
            "an_app_is_not_unhealthy_for_being_started_again",
        ),
    ),
    Safeguard(
        "each sidecar has its keeper",
        "toolchain/.dapr/bin/daprd",
        'exec "$root/toolchain/keep" "$root/.venv/bin/daprd" "$@" \\\n',
        'exec "$root/.venv/bin/daprd" "$@" \\\n',
        tests("components/test_run_file", "a_sidecar_is_kept_running"),
    ),
    Safeguard(
        "a sidecar that is killed is started again",
        "toolchain/keeper.py",
        "            if self._is_hopeless(status):\n",
        "            if status:\n",
        tests(
            "journeys/test_an_order",
            "a_sidecar_that_is_killed_comes_back_and_the_next_order_is_notified"
            "[rabbitmq-sqlite-order]",
        ),
        on_the_real_system=True,
    ),
    Safeguard(
        "a service whose database is away ends so that it is started again",
        "chassis/start.py",
        "        sys.exit(os.EX_TEMPFAIL)\n",
        "        sys.exit(os.EX_CONFIG)\n",
        tests("chassis/test_service", "the_keeper_starts_it_again_and_says_so_once"),
    ),
    Safeguard(
        "a setting that is wrong is told without its password",
        "chassis/settings.py",
        'name in ("DATABASE_URL", "APP_API_TOKEN", "DAPR_API_TOKEN")',
        'name in ("APP_API_TOKEN", "DAPR_API_TOKEN")',
        tests(
            "chassis/test_settings",
            "a_database_that_is_neither_of_the_two_is_refused_without_its_password"
            "[Settings0]",
        ),
    ),
    Safeguard(
        "an error of the database tells nothing of what customers sent",
        "chassis/database.py",
        "hide_parameters=True",
        "hide_parameters=False",
        tests(
            "chassis/test_database",
            "an_error_does_not_tell_what_was_to_be_written",
        ),
    ),
    Safeguard(
        "no proxy is between a service and its sidecar",
        "chassis/sidecar.py",
        "            trust_env=False,\n",
        "",
        tests("chassis/test_sidecar", "no_proxy_is_asked_for_the_way_to_the_sidecar"),
    ),
)
