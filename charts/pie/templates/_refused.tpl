{{/*
Values that an older chart had, and that this one cannot obey: the installation fails and names what to use instead.
The rows are: the value, and what to use. Values that are not set, or empty, are not refused.
*/}}
{{- define "pie.refuseOldValues" -}}
{{- range list "authorBounds" "controller" "crd" "dashboard" "image" "networkPolicies" "podDisruptionBudget" "podMonitor" "probePods" "probePriorityClass" "prometheusRule" "service" "serviceAccount" "serviceMonitor" "test" "uninstall" "webConfig" -}}
{{- if not (kindIs "map" (get $.Values .)) -}}
{{- fail (printf "The value %s is missing. With --reuse-values, helm upgrade keeps the defaults of the old chart: use --reset-then-reuse-values (Helm 3.14 or later) instead. If your values set it to null, delete that line." .) -}}
{{- end -}}
{{- end -}}
{{- $old := dict
  "replicas" "replicaCount"
  "controller.monitoringStorageClasses" "spec.monitoringStorageClass of one PieProbe per StorageClass (docs/migrating.md)"
  "controller.createProbeThreshold" "spec.probeThreshold of the PieProbes (docs/migrating.md)"
  "controller.nodeSelector" "spec.nodeSelector of the PieProbes; for the pods of the controller, nodeSelector"
-}}
{{- range $path, $use := $old -}}
{{- $value := $.Values -}}
{{- range splitList "." $path -}}
{{- $value = get ($value | default dict) . -}}
{{- end -}}
{{- if or $value (kindIs "float64" $value) (kindIs "int64" $value) -}}
{{- fail (printf "%s is no value of this chart. Use %s instead." $path $use) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.image.reference -}}
{{- if regexMatch "^v?0\\.[0-9]+(\\.[0-9]+)?$" (.Values.image.tag | default "") -}}
{{- fail (printf "image.tag: %s is a version of the Go implementation, which this chart cannot run. Delete image.tag from your values, or set it to a tag of this version's image." .Values.image.tag) -}}
{{- end -}}
{{- if eq (toString .Values.image.repository) "ghcr.io/topolvm/pie" -}}
{{- fail "image.repository: ghcr.io/topolvm/pie is the image of the Go implementation, which this chart cannot run. Set image.repository to where your cluster pulls this version's image from, and delete image.tag from your values." -}}
{{- end -}}
{{- end -}}
{{- end -}}
