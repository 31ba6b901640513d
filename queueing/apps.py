from django.apps import AppConfig


class QueueingConfig(AppConfig):
    name = "queueing"
    verbose_name = "Delivery"
    default_auto_field = "django.db.models.BigAutoField"
