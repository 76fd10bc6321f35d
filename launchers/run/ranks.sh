# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- How many ----

# Sets `per_node` and `ranks`: as asked; else as the job was asked to; else as --threads leaves room for; else one to a
# NUMA domain. And `asked`: whether the user said anything about them.
count_ranks() {
    asked=no
    [ -z "$ranks$per_node" ] || asked=yes
    [ -z "$ranks" ] || [ -z "$per_node" ] || [ "$per_node" -le "$ranks" ] ||
        die "-n $ranks is fewer than --ranks-per-node $per_node: leave out one of them"
    if [ -n "$ranks" ] && [ -z "$per_node" ]; then
        per_node=$(((ranks + nodes - 1) / nodes))
    elif [ -z "$per_node" ]; then
        per_node=$domains
        [ -z "$threads" ] || per_node=$((cores / threads))
        [ -z "$wanted" ] || per_node=$wanted
        [ "$per_node" -le "$cores" ] || per_node=$cores
        [ "$per_node" -gt 0 ] || per_node=1
    fi
    [ -n "$ranks" ] || ranks=$((per_node * nodes))
    needed=$(((ranks + per_node - 1) / per_node))
    [ "$needed" -le "$nodes" ] ||
        die "-n $ranks at $per_node ranks a node takes $needed nodes, and there are $nodes: ask for more nodes" \
            "or more ranks on each"
    nodes=$needed
}

# Sets `crowded`: whether threads have to share cores. On this machine alone that is the user's to try.
check_room() {
    crowded=no
    [ $((per_node * ${threads:-1})) -gt "$cores" ] || return 0
    crowded=yes
    what="ranks on a node: $per_node${threads:+ with threads: $threads}, cores: $cores"
    [ "$place" = here ] || [ "$told" -eq 0 ] || [ "$oversubscribe" = yes ] ||
        die "$what: ask for more cores or fewer ranks, or share cores by --oversubscribe"
    case $bind in
    numa | core) die "$what: too few for --bind $bind; leave that out or start fewer" ;;
    esac
    warn "$what; they take turns"
}

# Sets `bind` and `share`, the cores of a rank.
decide_bind() {
    share=${threads:-$((cores / per_node))}
    [ "$share" -gt 0 ] || share=1
    if [ "$crowded" = yes ]; then
        bind=none
    elif [ "$bind" = auto ]; then
        if [ "$per_node" -eq 1 ]; then
            bind=none
        elif [ -z "$threads" ] && [ "$per_node" -eq "$domains" ]; then
            bind=numa
        elif [ -n "$threads" ] || [ $((cores % per_node)) -eq 0 ]; then
            bind=core
        else
            bind=none
        fi
    fi
    [ "$bind" != numa ] || [ $((per_node % domains)) -eq 0 ] ||
        die "--bind numa, but $per_node ranks do not divide evenly among $domains NUMA domains: choose another number"
    note "ranks: $ranks, on a node: $per_node, threads of each: $share, bound to: $bind"
}
