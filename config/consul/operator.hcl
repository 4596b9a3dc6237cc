# The token of an operator: all that a viewer may, and upgradectl apply, delete, rollout pause and resume, hold and
# release. It starts nobody by itself: what carries a plan out (upgradectl reconcile, upgrade, and global-disable-puppet) takes the
# controller's policy.

# Plans, and the orders to stop that stand beside them.
key_prefix "upgrade.jiocloud.com/plans/" { policy = "write" }

# Requests to sync a Git repository now: upgradectl reconcile source.
key_prefix "upgrade.jiocloud.com/requests/" { policy = "write" }

# Holds. Storing a plan makes holds/epoch.
key_prefix "upgrade.jiocloud.com/holds/" { policy = "write" }

# The pauses that hosts in the field know, as upgradectl enable-puppet and hold write them: they only ever stop. And what
# upgradectl set-config writes.
key_prefix "config_state/global/" { policy = "write" }
key_prefix "config_state/role/"   { policy = "write" }
key_prefix "config_state/host/"   { policy = "write" }
key_prefix "config_version/"      { policy = "write" }

# What it looks at. "list" is "read", and allows whole trees where acl.enable_key_list_policy is set.
key "current_version"                      { policy = "read" }
key "upgrade.jiocloud.com/leader"          { policy = "read" }
key_prefix "upgrade.jiocloud.com/sources/" { policy = "list" }
key "upgrade.jiocloud.com/action"          { policy = "read" }
key_prefix "upgrade.jiocloud.com/hosts/"   { policy = "list" }
key_prefix "upgrade.jiocloud.com/started/" { policy = "list" }
key_prefix "config_state/"                 { policy = "list" }
key_prefix "running/versions/"             { policy = "list" }
key_prefix "running_version/"              { policy = "list" }

# Plans with healthGate or hosts.source: Catalog, and upgradectl get-failures: the checks of all nodes, and which there are.
node_prefix ""    { policy = "read" }
service_prefix "" { policy = "read" }
