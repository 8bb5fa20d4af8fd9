//go:build tools

// Package tools pins helm, which the tests render and check the chart with.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
