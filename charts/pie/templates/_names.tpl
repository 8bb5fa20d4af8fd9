{{/* Name of every object of the chart: the name of the release, followed by "pie" if it does not contain it. */}}
{{- define "pie.name" -}}
{{- if contains "pie" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-pie" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of the objects that have no namespace. It has the namespace in it, because two releases may have one name. */}}
{{- define "pie.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "pie.name" .) -}}
{{- end -}}

{{/* Name of the PriorityClass for probe pods. */}}
{{- define "pie.priorityClassName" -}}
{{- .Values.probePriorityClass.name | default (printf "%s-probe" (include "pie.clusterName" .)) -}}
{{- end -}}

{{/* Labels by which the controller's pods are selected. They must never change between versions. */}}
{{- define "pie.selectorLabels" -}}
app.kubernetes.io/name: pie
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pie.labels" -}}
{{ include "pie.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The image of the controller and of the probe pods. */}}
{{- define "pie.image" -}}
{{- $repository := required "image.repository is empty: say where your cluster pulls pie's image from, for example --set image.repository=registry.example.com/pie" .Values.image.repository -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
