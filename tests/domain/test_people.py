"""Who is next: round robin, absence, pairs, and who stands in for somebody who left."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.people import Owners, Person, Role, appointed, choose_owners, least_recently_assigned
from tests.domain.make import day, person, quickly

TODAY = date(2026, 3, 2)

SDR = person("sdr", Role.INBOUND_SDR)
NAMED_SDR = person("named", Role.NAMED_SDR)
AE_ONE = person("ae-one", Role.AE, paired_ce="ce-two", last_assigned_at=day(-2))
AE_TWO = person("ae-two", Role.AE, paired_ce="ce-one", last_assigned_at=day(-1))
CE_ONE = person("ce-one", Role.CE, manager="boss-one", last_assigned_at=day(-3))
CE_TWO = person("ce-two", Role.CE, manager="boss-two", last_assigned_at=day(-1))
BOSS_ONE = person("boss-one", Role.CE_MANAGER)
BOSS_TWO = person("boss-two", Role.CE_MANAGER)
ROSTER = (SDR, NAMED_SDR, AE_ONE, AE_TWO, CE_ONE, CE_TWO, BOSS_ONE, BOSS_TWO)


def but(*others: Person) -> list[Person]:
    """The roster with others in the place of those of their ids."""
    people = {one.id: one for one in ROSTER} | {one.id: one for one in others}
    return list(people.values())


def gone(one: Person) -> Person:
    return one.model_copy(update={"active": False})


def away(one: Person, until: date = TODAY + timedelta(days=1)) -> Person:
    return one.model_copy(update={"out_of_office_until": until})


def ids(owners: Owners) -> tuple[str, ...]:
    return tuple(one.id if one else "" for one in (owners.sdr, owners.ae, owners.ce, owners.manager))


# --- one person ------------------------------------------------------------------------------------------------------------------------


def test_whoever_was_assigned_the_longest_ago_is_next() -> None:
    assert least_recently_assigned([AE_TWO, AE_ONE], TODAY) is AE_ONE


def test_who_was_never_assigned_comes_first_and_names_break_ties() -> None:
    new, newer = person("zoe", Role.AE), person("abe", Role.AE)
    assert least_recently_assigned([AE_ONE, new, newer], TODAY) is newer


def test_out_of_office_ends_on_its_day() -> None:
    assert not away(AE_ONE, TODAY + timedelta(days=1)).eligible(TODAY)
    assert away(AE_ONE, TODAY).eligible(TODAY)
    assert least_recently_assigned([away(AE_ONE), AE_TWO], TODAY) is AE_TWO


def test_nobody_eligible_is_nobody() -> None:
    assert least_recently_assigned([], TODAY) is None
    assert least_recently_assigned([away(AE_ONE), gone(AE_TWO)], TODAY) is None


@quickly
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 5)), st.booleans(), st.one_of(st.none(), st.integers(-2, 2))), max_size=6),
)
def test_the_turn_goes_round(them: list[tuple[int | None, bool, int | None]]) -> None:
    """Whoever is chosen is eligible, nobody eligible waits longer, and after as many turns as people everybody had one."""
    people = {
        f"p{n}": person(
            f"p{n}",
            active=active,
            last_assigned_at=None if ago is None else day(-ago),
            out_of_office_until=None if back is None else TODAY + timedelta(days=back),
        )
        for n, (ago, active, back) in enumerate(them)
    }
    eligible = {one.id for one in people.values() if one.eligible(TODAY)}
    turns = []
    for turn in range(len(eligible)):
        chosen = least_recently_assigned(people.values(), TODAY)
        assert chosen is not None
        turns.append(chosen.id)
        people[chosen.id] = chosen.model_copy(update={"last_assigned_at": day(turn + 1)})
    assert sorted(turns) == sorted(eligible)
    if not eligible:
        assert least_recently_assigned(people.values(), TODAY) is None


# --- the owners of a trial ---------------------------------------------------------------------------------------------------------------


def test_round_robin_brings_the_ae_and_the_ae_brings_the_ce() -> None:
    owners = choose_owners(ROSTER, TODAY)
    assert ids(owners) == ("sdr", "ae-one", "ce-two", "boss-two")
    assert owners.notes == ("inbound SDR by round robin: Sdr", "AE by round robin: Ae-One")


def test_a_named_account_has_its_own_people() -> None:
    owners = choose_owners(ROSTER, TODAY, named_sdr="named", account_ae="ae-two", account_ce="ce-two")
    assert ids(owners) == ("named", "ae-two", "ce-two", "boss-two")
    assert owners.notes == ()


def test_the_ae_of_an_account_brings_the_paired_ce() -> None:
    assert ids(choose_owners(ROSTER, TODAY, account_ae="ae-two")) == ("sdr", "ae-two", "ce-one", "boss-one")


def test_an_owner_who_left_is_replaced_and_it_is_said() -> None:
    owners = choose_owners(but(gone(AE_TWO)), TODAY, account_ae="ae-two")
    assert ids(owners) == ("sdr", "ae-one", "ce-two", "boss-two")
    assert "AE Ae-Two has left: replaced" in owners.notes


def test_an_owner_who_is_away_is_replaced_and_it_is_said() -> None:
    owners = choose_owners(but(away(CE_ONE), away(NAMED_SDR)), TODAY, named_sdr="named", account_ae="ae-two", account_ce="ce-one")
    assert ids(owners) == ("", "ae-two", "ce-two", "boss-two")
    assert "CE Ce-One is out of office: replaced" in owners.notes
    assert "paired CE Ce-One is out of office: replaced" in owners.notes
    assert "no eligible named SDR: sales ops must assign one" in owners.notes


def test_another_named_sdr_stands_in_for_the_one_who_is_away() -> None:
    second = person("second", Role.NAMED_SDR)
    owners = choose_owners([*but(away(NAMED_SDR)), second], TODAY, named_sdr="named")
    assert owners.sdr == second


def test_an_owner_whom_the_roster_does_not_know_is_replaced() -> None:
    assert ids(choose_owners(ROSTER, TODAY, account_ae="nobody", account_ce="nobody")) == ("sdr", "ae-one", "ce-two", "boss-two")


def test_a_manager_who_left_or_is_away_is_replaced() -> None:
    for absent, words in ((gone(BOSS_TWO), "has left"), (away(BOSS_TWO), "is out of office")):
        owners = choose_owners(but(absent), TODAY)
        assert ids(owners) == ("sdr", "ae-one", "ce-two", "boss-one")
        assert f"CE manager Boss-Two {words}: replaced" in owners.notes
    assert choose_owners(but(gone(BOSS_ONE), gone(BOSS_TWO)), TODAY).manager is None


def test_with_nobody_there_every_gap_is_named() -> None:
    owners = choose_owners([BOSS_ONE], TODAY)
    assert ids(owners) == ("", "", "", "boss-one")
    assert owners.notes == tuple(f"no eligible {who}: sales ops must assign one" for who in ("inbound SDR", "AE", "CE"))


def test_where_somebody_is_missing_sales_ops_and_their_leader_are_known() -> None:
    ops, lead = (
        Person(id=id_, name=id_, email=f"{id_}@tenure.example", role=role)
        for id_, role in (("ops", Role.SALES_OPS), ("lead", Role.SALES_LEADERSHIP))
    )
    full, short = choose_owners([*ROSTER, ops, lead], TODAY), choose_owners([BOSS_ONE, ops, lead], TODAY)
    assert (full.ops, full.leader) == (None, None)
    assert (short.ops, short.leader) == (ops, lead)
    assert (short.of(Role.SALES_OPS), short.of(Role.SALES_LEADERSHIP)) == (ops, lead)


def test_who_is_appointed_is_of_ours_has_not_left_and_may_be_that() -> None:
    people = but(gone(CE_TWO))
    given = {"sdr": SDR.email, "ae": f" {AE_ONE.email.upper()} ", "ce": CE_ONE.email}
    assert {part: person.id for part, person in appointed(people, given).items()} == {"sdr": SDR.id, "ae": AE_ONE.id, "ce": CE_ONE.id}
    for part, email in (
        ("ce", AE_ONE.email),
        ("ae", CE_ONE.email),
        ("sdr", CE_ONE.email),
        ("ce", CE_TWO.email),
        ("ce", "mallory@x.example"),
        ("boss", CE_ONE.email),
    ):
        assert appointed(people, {part: email}) == {}


def test_each_role_has_its_owner() -> None:
    owners = Owners(sdr=SDR, ae=AE_ONE, ce=CE_ONE, manager=BOSS_ONE)
    of = {role: owners.of(role) for role in Role}
    expected = {Role.CE: CE_ONE, Role.AE: AE_ONE, Role.INBOUND_SDR: SDR, Role.NAMED_SDR: SDR, Role.CE_MANAGER: BOSS_ONE}
    assert of == {role: expected.get(role) for role in Role}
