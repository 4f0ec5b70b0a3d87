"""
Which features there are, and how they join a host.

Built-in features are the modules and packages in C{xmppd.features}; others come by the entry-point group
C{xmppd.features}. Nothing fails open: whatever is installed or named and does not load, or does not fit, keeps the
server from starting.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

import xmppd.features
from xmppd.config import SERVICES, Configuration, ConfigurationError, HostConfig, checkFeatureOptions, hostsAbove
from xmppd.hooks import Feature
from xmppd.ixmppd import IHost
from xmppd.naming import strictest
from xmppd.readers import Problem, suggestion

GROUP = "xmppd.features"
"""The group of entry points by which others bring features; what an entry point names is a L{Feature}."""


def discover(installed: Iterable[EntryPoint] | None = None) -> Mapping[str, Feature]:
    """
    All features there are, by name, in the order in which they join: each behind those it names in C{after}, else by
    name.

    @param installed: the entry points; by default those of everything that is installed.
    @raise ConfigurationError: something doesn't load, is no feature, or has a name that is taken.
    """
    problems: list[Problem] = []
    found: dict[str, Feature] = {}
    places: dict[str, str] = {}
    sources: list[tuple[str, str, Callable[[], Any]]] = [
        (f"xmppd.features.{module.name}", module.name, _builtIn(module.name))
        for module in pkgutil.iter_modules(xmppd.features.__path__)
    ]
    for each in entry_points(group=GROUP) if installed is None else installed:
        sources.append((each.value, each.name, each.load))
    for place, name, load in sources:
        try:
            feature = _loaded(load, name)
        except Exception as error:
            wrong = f"it doesn't load: {type(error).__name__}: {error}"
            problems.append(Problem(place, "", wrong, "repair it or remove it"))
            continue
        if name in found:
            wrong = f"there is a feature {name} already, in {places[name]}"
            problems.append(Problem(place, "", wrong, "remove one of them"))
            continue
        found[name] = feature
        places[name] = place
    if problems:
        raise ConfigurationError(problems)
    return MappingProxyType({name: found[name] for name in _ordered(found)})


def _builtIn(name: str) -> Callable[[], Any]:
    return lambda: importlib.import_module(f"xmppd.features.{name}").feature


def _loaded(load: Callable[[], Any], name: str) -> Feature:
    """The feature, if it is one and is called as its source says."""
    feature = load()
    if not isinstance(feature, Feature):
        raise TypeError(f"{feature!r} is no Feature")
    if feature.name != name:
        raise ValueError(f"the feature calls itself {feature.name}, not {name}")
    return feature


def _ordered(found: Mapping[str, Feature]) -> list[str]:
    """The names in the order of joining."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in sorted(found):
        sorter.add(name, *(other for other in found[name].after if other in found))
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " after ".join(error.args[1])
        problem = Problem("xmppd.features", "", f"they wait for each other: {circle}", "correct what they wait for")
        raise ConfigurationError([problem]) from None
    order: list[str] = []
    waiting: list[str] = []
    while sorter.is_active():
        waiting = sorted([*waiting, *sorter.get_ready()])
        name = waiting.pop(0)
        order.append(name)
        sorter.done(name)
    return order


def joining(features: Mapping[str, Feature], hostConfig: HostConfig) -> tuple[str, ...]:
    """The names of the features that a host has, in their order."""
    return tuple(
        name
        for name, feature in features.items()
        if hostConfig.table in (*feature.joins, feature.serves)
        and name not in hostConfig.disabled
        and (feature.needs != "accounts" or hostConfig.accounts)
        and (not feature.optional or name in hostConfig.features)
    )


def join(features: Mapping[str, Feature], host: IHost, hostConfig: HostConfig) -> tuple[str, ...]:
    """
    Join features to a host; answers the names of those that did.

    @param features: in the order of joining, as L{discover} answers them.
    @raise ConfigurationError: the host's configuration names what isn't there, or a feature fails to join.
    """
    named = (*hostConfig.features, *hostConfig.disabled)
    unknown = [name for name in dict.fromkeys(named) if name not in features]
    if unknown:
        raise ConfigurationError(
            _problem(hostConfig, f"unknown feature `{name}`{suggestion(name, features)}", "correct it or remove it")
            for name in unknown
        )
    names = joining(features, hostConfig)
    for name in names:
        feature = features[name]
        try:
            feature.join(host)
        except ConfigurationError:
            raise
        except Exception as error:
            wrong = f"{name} can't join: {type(error).__name__}: {error}"
            raise ConfigurationError([_problem(hostConfig, wrong, "repair it or disable it")]) from error
        host.features.add(name)
        host.identities.extend(feature.identities)
        host.namespaces.update(feature.namespaces)
        host.accountNamespaces.update(feature.accountNamespaces)
    return names


def _problem(hostConfig: HostConfig, wrong: str, remedy: str) -> Problem:
    return Problem("", f'host."{hostConfig.domain}"', wrong, remedy)


def services(features: Mapping[str, Feature], configuration: Configuration) -> tuple[HostConfig, ...]:
    """
    The configurations of the services (rooms, publish-subscribe …) as hosts without users. Their administrators are
    those of the host whose domain they are below, or of all hosts; their features are told what all are told.

    @raise ConfigurationError: there is no feature for a service that is named, or an option is wrong.
    """
    serving = {feature.serves: name for name, feature in features.items() if feature.serves}
    shared = {name: options for name, options in configuration.features.items() if name in features}
    made: list[HostConfig] = []
    problems: list[Problem] = []
    for table in SERVICES:
        for domain, given in getattr(configuration, table).items():
            if table not in serving:
                wrong = "this version has no such service"
                problems.append(Problem(str(configuration.file), f'{table}."{domain}"', wrong, "remove the table"))
                continue
            admins = tuple(admin for host in hostsAbove(domain, configuration.hosts) for admin in host.admins)
            told = {
                name: options
                for name, options in shared.items()
                if table in (*features[name].joins, features[name].serves)
            }
            told[serving[table]] = MappingProxyType({**told.get(serving[table], {}), **given})
            names = strictest(host.names for host in hostsAbove(domain, configuration.hosts))
            features_ = MappingProxyType(told)
            made.append(HostConfig(domain, table, names=names, accounts=False, admins=admins, features=features_))
    if problems:
        raise ConfigurationError(problems)
    declared = {name: feature.options for name, feature in features.items()}
    checkFeatureOptions(replace(configuration, hosts={config.domain: config for config in made}), declared)
    return tuple(made)


def options(features: Mapping[str, Feature], hostConfig: HostConfig) -> Callable[[str, str], Any]:
    """
    What L{IHost.option} asks: the value for this host, or the default.

    Asking for an option that the feature doesn't declare raises KeyError.
    """
    values = {
        (name, key): hostConfig.features.get(name, {}).get(key, option.default)
        for name, feature in features.items()
        for key, option in feature.options.items()
    }

    def value(feature: str, key: str) -> Any:
        return values[feature, key]

    return value
