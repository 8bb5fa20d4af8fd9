"""What only Jobs and CronJobs need: `wire` structs, `naming`, the `cron` expression, `manifests`."""
