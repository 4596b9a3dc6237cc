# The token of an operator: all that a viewer may, and upgradectl apply, delete, rollout pause and resume, hold and
# release. It starts nobody by itself: what carries a plan out (upgradectl reconcile, upgrade, and global-disable-puppet) takes the
# controller's policy.

# Plans, and the orders to stop that stand beside them.
key_prefix "upgrade.jiocloud.com/plans/" { policy = "write" }

# Holds. Storing a plan makes holds/epoch.
key_prefix "upgrade.jiocloud.com/holds/" { policy = "write" }

# The pauses that hosts in the field know, as `jorc enable_puppet False` and upgradectl hold write them. They only ever stop.
key_prefix "config_state/global/" { policy = "write" }
key_prefix "config_state/role/"   { policy = "write" }
key_prefix "config_state/host/"   { policy = "write" }

# What it looks at. "list" is "read", and allows whole trees where acl.enable_key_list_policy is set.
key "current_version"                      { policy = "read" }
key "upgrade.jiocloud.com/leader"          { policy = "read" }
key "upgrade.jiocloud.com/action"          { policy = "read" }
key_prefix "upgrade.jiocloud.com/hosts/"   { policy = "list" }
key_prefix "upgrade.jiocloud.com/started/" { policy = "list" }
key_prefix "config_state/"                 { policy = "list" }
key_prefix "running/versions/"             { policy = "list" }
key_prefix "running_version/"              { policy = "list" }
