# The token of upgrade-controller, and of who carries a plan out without it: upgradectl reconcile, upgrade and
# global-disable-puppet. NODE stands for the name of the node whose Consul agent it asks:
#
#   sed "s/NODE/ctl1/" config/consul/controller.hcl |
#     consul acl policy create -name upgrade-controller -rules -

# The lock of the one writer. A session belongs to a node: session_prefix "" would let the token end everybody's.
key "upgrade.jiocloud.com/leader" { policy = "write" }
session "NODE"                    { policy = "write" }

# Ledger and status of every plan. No rule of Consul matches the end of a key, so this lets it write the specs as well.
key_prefix "upgrade.jiocloud.com/plans/" { policy = "write" }

# What is kept of the Git repositories that plans come from, and the requests to sync one.
key_prefix "upgrade.jiocloud.com/sources/"  { policy = "write" }
key_prefix "upgrade.jiocloud.com/requests/" { policy = "write" }

# What hosts are told.
key "current_version"                      { policy = "write" }
key_prefix "config_state/enable_puppet/"   { policy = "write" }
key "upgrade.jiocloud.com/action"          { policy = "write" }

# The pause keys that stand for holds: hosts in the field know no other. They go when a hold expires.
key_prefix "config_state/role/"            { policy = "write" }
key_prefix "config_state/host/"            { policy = "write" }

# Marks for hosts that were never seen as agents and may have begun. These two trees are watched without the slash at
# their end: then Consul answers with one name, however many hosts there are.
key_prefix "upgrade.jiocloud.com/started" { policy = "write" }

# Each commit checks that no hold has changed. While the key is missing it checks that, which takes the right to write.
key "upgrade.jiocloud.com/holds/epoch"     { policy = "write" }

# What it decides from. "list" is "read", and allows whole trees where acl.enable_key_list_policy is set.
key_prefix "config_state/"               { policy = "list" }
key_prefix "running/versions/"           { policy = "list" }
key_prefix "running_version/"            { policy = "list" }
key_prefix "upgrade.jiocloud.com/hosts"  { policy = "list" }
key_prefix "upgrade.jiocloud.com/holds/" { policy = "list" }

# The health of hosts and which of them exist, for plans with healthGate or hosts.source: Catalog.
node_prefix ""    { policy = "read" }
service_prefix "" { policy = "read" }
