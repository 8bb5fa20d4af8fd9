//go:build tools

// Package tools pins helm 4, which the tests install the chart with besides helm 3.
package tools

import _ "helm.sh/helm/v4/cmd/helm" // helm4
