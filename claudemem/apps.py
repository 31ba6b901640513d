"""The admin and its theme as apps of Django. Every process loads this, only the web the admin."""

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class ThemeConfig(AppConfig):
    """The theme's templates and files. Its own config would load its site in every worker."""

    name = "unfold"


class AdminConfig(SimpleAdminConfig):
    """Simple: the admin is loaded in `claudemem.urls`, not in every worker.

    The site is named and not imported: it is made when the web first asks for it.
    """

    default_site = "claudemem.site.Site"
