# Policy for upgrade-controller, and for commands that carry a plan out without it: upgradectl reconcile, upgrade and
# global-disable-puppet. NODE stands for the name of the node whose Consul agent they use:
#
#   sed "s/NODE/ctl1/" config/consul/controller.hcl |
#     consul acl policy create -name upgrade-controller -rules -

# The lock. A session belongs to a node: session_prefix "" would let the token end the sessions of all clients.
key "upgrade.jiocloud.com/leader" { policy = "write" }
session "NODE"                    { policy = "write" }

# Its registration, which upgradectl version shows. Without this rule the controller works, and logs that it cannot register.
key_prefix "upgrade.jiocloud.com/controllers/" { policy = "write" }

# Ledger and status of every plan. No rule of Consul matches the end of a key, so this lets it write the specs as well.
key_prefix "upgrade.jiocloud.com/plans/" { policy = "write" }

# The audit log of every plan. No other policy may write it.
key_prefix "upgrade.jiocloud.com/audit/" { policy = "write" }

# The state of the Git repositories that plans come from, and requests to sync one.
key_prefix "upgrade.jiocloud.com/sources/"  { policy = "write" }
key_prefix "upgrade.jiocloud.com/requests/" { policy = "write" }

# The keys that hosts obey.
key "current_version"                      { policy = "write" }
key_prefix "config_state/enable_puppet/"   { policy = "write" }
key "upgrade.jiocloud.com/action"          { policy = "write" }

# The pause keys of holds, for legacy hosts. They are removed when a hold expires.
key_prefix "config_state/role/"            { policy = "write" }
key_prefix "config_state/host/"            { policy = "write" }

# Grants: one-time permissions for agents to change their version.
key_prefix "upgrade.jiocloud.com/grants/"  { policy = "write" }

# Started markers for legacy hosts. This tree and hosts are watched without the slash at the end: Consul then answers with one
# name for any number of hosts.
key_prefix "upgrade.jiocloud.com/started" { policy = "write" }

# The hold on the fleet while its plan is paused, aborted or halted.
key "upgrade.jiocloud.com/holds/fleet"     { policy = "write" }

# Each commit checks that no hold has changed. While the key is missing, the commit checks that it is, which needs permission to
# write.
key "upgrade.jiocloud.com/holds/epoch"     { policy = "write" }

# It decides from these. "list" is "read", and allows whole trees where acl.enable_key_list_policy is set.
key_prefix "config_state/"               { policy = "list" }
key_prefix "running/versions/"           { policy = "list" }
key_prefix "running_version/"            { policy = "list" }
key_prefix "upgrade.jiocloud.com/hosts"  { policy = "list" }
key_prefix "upgrade.jiocloud.com/holds/" { policy = "list" }

# Checks and nodes, for plans with healthGate or hosts.source: Catalog.
node_prefix ""    { policy = "read" }
service_prefix "" { policy = "read" }
