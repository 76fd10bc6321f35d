# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Two "nodes" on one machine, to be sourced: network namespaces with host names of their own, joined by a veth pair,
# which talk TCP. They share the file system and the cores. As root, with iproute2.
#
#   nodes_make FOLDER || ...           # an existing one, to write to
#   nodes_run COMMAND...               # on the first node, called node-a; the other is 10.77.0.2
#   nodes_remove
#
# Open MPI reaches the other node by the agent in the folder, which nodes_make tells it.

nodes_a=fastmap-a-$$
nodes_b=fastmap-b-$$

nodes_remove() {
    ip netns delete "$nodes_a" 2>/dev/null
    ip netns delete "$nodes_b" 2>/dev/null
}

# nodes_link NAMESPACE INTERFACE ADDRESS
nodes_link() {
    nsenter --net="/run/netns/$1" ip link set lo up &&
        nsenter --net="/run/netns/$1" ip address add "$3/24" dev "$2" &&
        nsenter --net="/run/netns/$1" ip link set "$2" up
}

# mpirun calls the agent as `agent HOST COMMAND...`. nsenter rather than `ip netns exec`, which would mount another
# /sys; a session folder each, since both nodes see the same /tmp.
nodes_write_agent() {
    cat >"$nodes_folder/agent" <<AGENT
#!/bin/sh
while :; do case \$1 in -*) shift ;; *) break ;; esac; done
host=\$1
shift
mkdir -p "$nodes_folder/\$host"
TMPDIR="$nodes_folder/\$host" exec nsenter --net="/run/netns/$nodes_b" \\
    unshare -u sh -c 'hostname "\$0" && exec sh -c "\$*"' "\$host" "\$@"
AGENT
    chmod +x "$nodes_folder/agent"
}

nodes_make() {
    nodes_folder=$1
    mkdir -p "$nodes_folder/node-a" && nodes_write_agent
    export OMPI_MCA_plm_rsh_agent="$nodes_folder/agent" OMPI_MCA_btl=tcp,self OMPI_MCA_pml=ob1
    export OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_oob_tcp_if_include=10.77.0.0/24
    ip netns add "$nodes_a" && ip netns add "$nodes_b" &&
        ip link add fm0 netns "$nodes_a" type veth peer name fm1 netns "$nodes_b" &&
        nodes_link "$nodes_a" fm0 10.77.0.1 && nodes_link "$nodes_b" fm1 10.77.0.2
}

nodes_run() {
    TMPDIR="$nodes_folder/node-a" nsenter --net="/run/netns/$nodes_a" \
        unshare -u sh -c 'hostname node-a && exec "$@"' sh "$@"
}
