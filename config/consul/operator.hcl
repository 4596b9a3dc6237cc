# Policy for operators: everything that a viewer may do, and upgradectl apply, delete, rollout, hold and unhold. It grants
# no host: upgradectl reconcile, upgrade and global-disable-puppet need the controller's policy.

# Plans, and the orders to stop beside them.
key_prefix "upgrade.jiocloud.com/plans/" { policy = "write" }

# Requests to sync a Git repository now: upgradectl reconcile source.
key_prefix "upgrade.jiocloud.com/requests/" { policy = "write" }

# Holds, also the one on the fleet that rollout pause and abort set. Storing a plan creates holds/epoch.
key_prefix "upgrade.jiocloud.com/holds/" { policy = "write" }

# Deleting a plan deletes the grants of its hosts.
key_prefix "upgrade.jiocloud.com/grants/" { policy = "write" }

# Pause keys, which upgradectl enable-puppet and hold write, and which only stop hosts; settings, which upgradectl set-config
# writes.
key_prefix "config_state/global/" { policy = "write" }
key_prefix "config_state/role/"   { policy = "write" }
key_prefix "config_state/host/"   { policy = "write" }
key_prefix "config_version/"      { policy = "write" }

# An operator reads these. "list" is "read", and allows whole trees where acl.enable_key_list_policy is set.
key "current_version"                      { policy = "read" }
key "upgrade.jiocloud.com/leader"          { policy = "read" }
key_prefix "upgrade.jiocloud.com/controllers/" { policy = "list" }
key_prefix "upgrade.jiocloud.com/sources/" { policy = "list" }
key_prefix "upgrade.jiocloud.com/audit/"   { policy = "list" }
key "upgrade.jiocloud.com/action"          { policy = "read" }
key_prefix "upgrade.jiocloud.com/hosts/"   { policy = "list" }
key_prefix "upgrade.jiocloud.com/started/" { policy = "list" }
key_prefix "config_state/"                 { policy = "list" }
key_prefix "running/versions/"             { policy = "list" }
key_prefix "running_version/"              { policy = "list" }

# Checks and nodes, for plans with healthGate or hosts.source: Catalog, and for upgradectl get-failures.
node_prefix ""    { policy = "read" }
service_prefix "" { policy = "read" }
